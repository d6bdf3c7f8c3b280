//! Keys that memory has no room for lie on the disk meanwhile: nothing of that shows, and nothing stays behind.

use std::fs::{create_dir_all, read_dir};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::file_run::made_up::{CLICKS, ORDERS, lines};
use crate::workplace::{Workplace, start};

const LIMITS: &str = "[limits]\nready_keys_max = 0\npacked_keys_max = 0\n";

fn place() -> Workplace {
    let work = Workplace::new();
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    work.write("patterns.motif", CLICKS.to_owned() + ORDERS);
    work.write("clicks.jsonl", lines(random, 20_000, 0, 100));
    work.write("orders.jsonl", lines(random, 10_000, 0, 200));
    work
}

/// A configuration whose outputs have this name, with more of the table of the service. With an epoch for each batch: only what is told to the state, or let go, can be packed.
fn configure(work: &Workplace, name: &str, service: &str, limits: &str) {
    let text = format!(
        "[service]\npatterns = [\"patterns.motif\"]\nepoch_ms = 1\n{service}\n[streams.clicks]\nfile = \"clicks.jsonl\"\n[streams.orders]\nfile = \"orders.jsonl\"\n\
         [output]\nfile = \"{name}.jsonl\"\nlate_file = \"{name}.late.jsonl\"\nrejected_file = \"{name}.rejected.jsonl\"\n{limits}"
    );
    work.write(&format!("{name}.toml"), text);
}

/// The entries of a folder for scratch.
fn scratch(work: &Workplace, folder: &str) -> Vec<String> {
    let names = read_dir(work.path(folder)).expect("a folder").map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("motif-scratch-")).collect()
}

#[test]
fn where_keys_lie_does_not_show_in_what_comes_out() {
    let work = place();
    configure(&work, "plain", "", "");
    work.must("run --config plain.toml");
    create_dir_all(work.path("temporary")).expect("made");
    for (number, service) in ["", "workers = 3", "state = \"one\"", "workers = 2\nstate = \"two\""].into_iter().enumerate() {
        let name = format!("spilled{number}");
        configure(&work, &name, service, LIMITS);
        let ended = start(work.motif(&format!("run --config {name}.toml")).env("TMPDIR", work.path("temporary"))).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("times a key was laid on the disk"), "{}", ended.stderr);
        for output in ["jsonl", "late.jsonl", "rejected.jsonl"] {
            assert!(work.text(&format!("{name}.{output}")) == work.text(&format!("plain.{output}")), "{service}: {output}");
        }
    }
    for folder in ["temporary", "one/0", "two/0"] {
        assert_eq!(scratch(&work, folder), [""; 0], "{folder}");
    }
}

/// A run that was killed leaves its keys behind; whoever comes next removes them, and nobody those of a run that goes on.
#[test]
fn what_was_left_over_is_removed() {
    let work = place();
    create_dir_all(work.path("state/0")).expect("made");
    create_dir_all(work.path("temporary")).expect("made");
    let folders = ["state/0", "temporary"];
    configure(&work, "run", "state = \"state\"", LIMITS);
    work.must("run --config run.toml");
    let left = |folder: &str, name: &str| {
        create_dir_all(work.path(format!("{folder}/motif-scratch-{name}/db"))).expect("made");
        std::fs::File::create(work.path(format!("{folder}/motif-scratch-{name}/lock"))).expect("made")
    };
    let held = folders.map(|folder| {
        drop(left(folder, "left"));
        let lock = left(folder, "held");
        lock.try_lock().expect("free");
        lock
    });
    configure(&work, "bare", "", LIMITS);
    for name in ["run", "bare"] {
        let ended = start(work.motif(&format!("run --config {name}.toml")).env("TMPDIR", work.path("temporary"))).end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    for folder in folders {
        assert_eq!(scratch(&work, folder), ["motif-scratch-held"], "{folder}");
    }
    drop(held);
}

#[test]
fn a_disk_that_cannot_take_them_ends_the_run_with_a_sentence() {
    let work = place();
    configure(&work, "run", "", LIMITS);
    let ended = start(work.motif("run --config run.toml").env("TMPDIR", work.path("nowhere"))).end();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for said in ["keys beyond `packed_keys_max` cannot be kept on the disk", "nowhere", "No such file"] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    configure(&work, "plain", "", "");
    work.must("run --config plain.toml");
    let (some, all) = (work.text("run.jsonl"), work.text("plain.jsonl"));
    assert!(all.starts_with(&some) && some.len() < all.len(), "nothing comes out that was decided without them");
}
