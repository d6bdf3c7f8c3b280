//! The table of layers at the head of `src/lib.rs`, held against the code: who may use whom, and what the core must not name at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that reach outside, keep threads or log: not in the core.
const OUTSIDE: [&str; 9] = ["tokio", "tokio_stream", "tracing", "tracing_subscriber", "rdkafka", "rocksdb", "tonic", "prost", "crossbeam_channel"];

/// What the folders of the core deny for themselves.
const FENCE: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::iter_over_hash_type)]";

struct Layer {
    is_core: bool,
    may_use: BTreeSet<String>,
}

#[test]
fn every_module_uses_only_what_its_row_allows() {
    let layers = layers();
    let mut wrong = Vec::new();
    for (module, layer) in &layers {
        for file in files_of(module) {
            for used in modules_used(&code_of(&file)) {
                if used != *module && layers.contains_key(&used) && !layer.may_use.contains(&used) {
                    wrong.push(format!("{}: {module} may not use {used}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_every_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = fs::read_dir(root).expect("the sources").map(|entry| entry.expect("an entry").path());
    let modules: BTreeSet<String> = entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    let known: BTreeSet<String> = layers().into_keys().chain(["lib".to_owned(), "main".to_owned()]).collect();
    assert_eq!(modules, known);
}

#[test]
fn the_core_is_fenced() {
    let mut wrong = Vec::new();
    for (module, _) in layers().iter().filter(|(_, layer)| layer.is_core) {
        let files = files_of(module);
        let root = files.iter().find(|file| file.ends_with(format!("src/{module}/mod.rs"))).expect("a folder with mod.rs");
        if !fs::read_to_string(root).expect("a file").contains(FENCE) {
            wrong.push(format!("{}: does not turn its lints on", root.display()));
        }
        for file in &files {
            let code = code_of(file);
            let named = OUTSIDE.iter().filter(|name| code.contains(&format!("{name}::")));
            wrong.extend(named.map(|name| format!("{}: the core may not use {name}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_path_to_another_module_begins_at_the_crate() {
    let files = layers().into_keys().flat_map(|module| files_of(&module));
    let wrong: Vec<PathBuf> = files.filter(|file| code_of(file).contains("super::super")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What decides what comes out is said in the configuration or on the command line, never by a variable that happens to be set.
#[test]
fn no_code_reads_the_environment() {
    let files = layers().into_keys().flat_map(|module| files_of(&module));
    let is_simulation = |file: &PathBuf| file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("simulation"));
    let wrong: Vec<PathBuf> = files.filter(|file| !is_simulation(file) && code_of(file).contains("env::var")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The rows of the table in `src/lib.rs`.
fn layers() -> BTreeMap<String, Layer> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("src/lib.rs");
    let rows: Vec<Vec<&str>> = lib.lines().filter(|line| line.starts_with("//! | ")).map(|line| line[4..].split('|').map(str::trim).collect()).collect();
    let rows = || rows.iter().filter(|cells| cells[2].starts_with("[`"));
    let name = |cells: &[&str]| cells[2].trim_matches(&['[', ']', '`'][..]).trim_start_matches("mod@").to_owned();
    let all: BTreeSet<String> = rows().map(|cells| name(cells)).collect();
    assert!(all.len() > 10, "the table is found");
    rows().map(|cells| (name(cells), Layer { is_core: cells[1] == "core", may_use: allowed(cells[4], &all) })).collect()
}

fn allowed(cell: &str, all: &BTreeSet<String>) -> BTreeSet<String> {
    let words: BTreeSet<String> = cell.split(|c: char| !c.is_ascii_lowercase()).filter(|word| all.contains(*word)).map(str::to_owned).collect();
    if cell.starts_with("all but") { all.difference(&words).cloned().collect() } else { words }
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let single = root.join(format!("{module}.rs"));
    if single.exists() {
        files.push(single);
    }
    let mut folders = vec![root.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Without comments, and without unit tests, which may use what is above them.
fn code_of(file: &Path) -> String {
    if file.file_name().is_some_and(|name| name == "tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(file).expect("a source file");
    let code: Vec<&str> = text.lines().take_while(|line| *line != "#[cfg(test)]").filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

/// The first segment of each `crate::…` path, those in groups included.
fn modules_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut segment = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        used.insert(std::mem::take(&mut segment));
                    }
                    ':' if depth == 0 => {
                        used.insert(segment.clone());
                    }
                    c if depth == 0 && (c.is_ascii_alphanumeric() || c == '_') => segment.push(c),
                    _ => {}
                }
            }
            used.insert(segment);
        } else {
            used.insert(rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
        }
    }
    used
}
