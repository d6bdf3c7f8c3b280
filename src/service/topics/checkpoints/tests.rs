//! Faults of every kind, on a real database in a real folder: what is loaded is right, or is passed over.

use std::path::PathBuf;

use super::*;
use crate::objects::FolderObjects;
use crate::ports::{StateStore, WriteBatch};
use crate::store::{Durability, Rocks, RocksOptions};

struct Place {
    folder: tempfile::TempDir,
    checkpoints: Checkpoints,
    store: Rocks,
}

const TASK: u32 = 3;

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = Arc::new(FolderObjects::open(&folder.path().join("objects")).expect("opens"));
        let store = Rocks::open(&folder.path().join("store"), RocksOptions { durability: Durability::Process }).expect("opens");
        Self { checkpoints: Checkpoints::new(objects, "g", "one".to_owned()), store, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Goes on to an epoch, whose number is the value of each key.
    fn go_on(&self, epoch: u64) {
        let value = epoch.to_string().into_bytes();
        let mut batch = WriteBatch { puts: (0..500_u32).map(|key| (key.to_be_bytes().to_vec(), value.clone())).collect(), ..WriteBatch::default() };
        meta(epoch).write(&mut batch);
        self.store.write(batch).expect("written");
    }

    fn publish(&self, epoch: u64) -> u64 {
        let copy = self.path("copy");
        drop(std::fs::remove_dir_all(&copy));
        self.store.copy_to(&copy).expect("copied");
        self.checkpoints.publish(TASK, &meta(epoch), &copy).expect("published")
    }

    fn epochs(&self) -> Vec<u64> {
        self.checkpoints.list(TASK).expect("listed").iter().map(|manifest| manifest.epoch).collect()
    }

    /// What comes out of the highest checkpoint that can be loaded: its epoch, and the value of a key.
    fn load(&self) -> Option<(u64, String)> {
        for manifest in self.checkpoints.list(TASK).expect("listed") {
            let folder = self.path("loaded");
            drop(std::fs::remove_dir_all(&folder));
            if self.checkpoints.load(&manifest, &folder.join("db")).is_ok() {
                std::fs::write(folder.join("MOTIF-STATE"), "1\n").expect("written");
                let store = Rocks::open(&folder, RocksOptions { durability: Durability::Process }).expect("opens");
                let value = store.get(&7_u32.to_be_bytes()).expect("read").expect("there");
                return Some((manifest.epoch, String::from_utf8(value).expect("text")));
            }
        }
        None
    }

    /// The objects' files whose paths contain a word, in order.
    fn files(&self, word: &str) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.path("objects")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.display().to_string().contains(word) {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

fn meta(epoch: u64) -> Meta {
    Meta { format: crate::service::state::FORMAT, epoch, record_digest: epoch * 3, journal_offset: epoch * 5, ..Meta::default() }
}

#[test]
fn the_newest_is_loaded_as_it_was_and_unchanged_files_are_carried_once() {
    let place = Place::new();
    assert_eq!(place.load(), None);
    place.go_on(1);
    let first = place.publish(1);
    // What changes while a copy is made or carried is not in it.
    place.go_on(2);
    assert_eq!(place.load(), Some((1, "1".to_owned())));
    assert!(place.publish(2) > 0 && first > 0);
    assert!(place.publish(2) == 0, "nothing is new");
    assert_eq!(place.load(), Some((2, "2".to_owned())));
    let manifest = &place.checkpoints.list(TASK).expect("listed")[0];
    assert_eq!((manifest.record_digest, manifest.journal_offset), (6, 10));
}

#[test]
fn of_each_damage_the_checkpoint_before_is_taken() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 4] = [
        ("a flipped bit", |path| {
            let mut bytes = std::fs::read(path).expect("read");
            let place = bytes.len() / 2;
            bytes[place] ^= 1;
            std::fs::write(path, bytes).expect("written");
        }),
        ("torn", |path| {
            let bytes = std::fs::read(path).expect("read");
            std::fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
        }),
        ("empty", |path| std::fs::write(path, "").expect("written")),
        ("missing", |path| std::fs::remove_file(path).expect("removed")),
    ];
    let (mut found, mut done) = (0, 0);
    for (what, damage) in damages {
        for kind in ["/files/", "/epochs/"] {
            let place = Place::new();
            place.go_on(1);
            place.publish(1);
            let before = place.files(kind);
            place.go_on(2);
            place.publish(2);
            for path in place.files(kind).into_iter().filter(|path| !before.contains(path)) {
                let whole = std::fs::read(&path).expect("read");
                damage(&path);
                done += 1;
                assert_eq!(place.load(), Some((1, "1".to_owned())), "{what}: {}", path.display());
                found += 1;
                std::fs::write(&path, whole).expect("written");
                assert_eq!(place.load(), Some((2, "2".to_owned())), "restored: {}", path.display());
            }
        }
    }
    assert!(found == done && done >= 12, "{found} of {done} damages were found")
}

#[test]
fn checkpoints_of_somebody_else_are_passed_over() {
    let place = Place::new();
    place.go_on(1);
    place.publish(1);
    let manifest = &place.files("/epochs/")[0];
    for foreign in ["objects/g/4/epochs/00000000000000000001-one/manifest.json", "objects/h/3/epochs/00000000000000000001-one/manifest.json"] {
        let foreign = place.path(foreign);
        std::fs::create_dir_all(foreign.parent().expect("a folder")).expect("made");
        std::fs::copy(manifest, foreign).expect("copied");
    }
    assert!(place.checkpoints.list(4).expect("listed").is_empty(), "of another task");
    let other = Checkpoints { objects: place.checkpoints.objects.clone(), group: "h".to_owned(), owner: "one".to_owned() };
    assert!(other.list(TASK).expect("listed").is_empty(), "of another group");
    let newer = std::fs::read_to_string(manifest).expect("read").replacen("\"format\":1", "\"format\":2", 1);
    let json = newer.split_once('\n').expect("two lines").1;
    std::fs::write(manifest, format!("{}\n{json}", checksum(json.as_bytes()))).expect("written");
    assert!(place.epochs().is_empty(), "of a newer format");
}

/// The older writer does not know yet that it is not in charge any more.
#[test]
fn two_writers_do_not_harm_each_other() {
    let place = Place::new();
    place.go_on(5);
    let other = Checkpoints { objects: place.checkpoints.objects.clone(), group: "g".to_owned(), owner: "two".to_owned() };
    for epoch in [5, 6, 7, 8, 9] {
        place.go_on(epoch);
        let copy = place.path(&format!("other-{epoch}"));
        place.store.copy_to(&copy).expect("copied");
        other.publish(TASK, &meta(epoch), &copy).expect("published");
        place.publish(epoch);
        other.prune(TASK, SystemTime::now()).expect("pruned");
        place.checkpoints.prune(TASK, SystemTime::now() + 2 * UNNAMED_AGE_MIN).expect("pruned");
        assert_eq!(place.load(), Some((epoch, epoch.to_string())));
    }
    assert_eq!(place.epochs(), [9, 9, 8]);
}

#[test]
fn three_are_kept_and_young_files_stay() {
    let place = Place::new();
    for epoch in 1..=5 {
        place.go_on(epoch);
        place.publish(epoch);
    }
    let files = place.files("/files/").len();
    place.checkpoints.prune(TASK, SystemTime::now()).expect("pruned");
    assert_eq!(place.epochs(), [5, 4, 3]);
    assert_eq!((place.files("/epochs/").len(), place.files("/files/").len()), (3, files), "somebody may be reading them");
    place.checkpoints.prune(TASK, SystemTime::now() + 2 * UNNAMED_AGE_MIN).expect("pruned");
    assert!(place.files("/files/").len() < files);
    assert_eq!(place.load(), Some((5, "5".to_owned())));
}
