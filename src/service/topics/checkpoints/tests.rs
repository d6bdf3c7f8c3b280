//! Faults of every kind, on a real database, in a folder and in a bucket: what is loaded is right, or is passed over.

use std::path::PathBuf;

use super::*;
use crate::object_server::{ACCESS_KEY, BUCKET, SECRET_KEY, object_server, unique_prefix};
use crate::objects::{AccessKey, Bucket, Patience, StoredObjects};
use crate::ports::{ObjectInfo, StateStore, WriteBatch};
use crate::store::{Durability, Rocks, RocksOptions};

struct Place {
    folder: tempfile::TempDir,
    objects: Arc<dyn Objects>,
    checkpoints: Checkpoints,
    store: Rocks,
}

const TASK: u32 = 3;

/// Where the objects lie.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Folder,
    Bucket,
}

impl Place {
    /// `None`: there is no such place here.
    fn new(kind: Kind) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = match kind {
            Kind::Folder => StoredObjects::in_folder(&folder.path().join("objects")),
            Kind::Bucket => StoredObjects::in_bucket(&bucket(folder.path())?),
        };
        let objects: Arc<dyn Objects> = Arc::new(objects.expect("opens"));
        let store = Rocks::open(&folder.path().join("store"), RocksOptions { durability: Durability::Process }).expect("opens");
        Some(Self { checkpoints: Checkpoints::new(objects.clone(), "g", "one".to_owned()), objects, store, folder })
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

    /// The objects whose names contain a word, in order.
    fn names(&self, word: &str) -> Vec<String> {
        let objects = self.objects.list("").expect("listed");
        objects.into_iter().map(|object| object.name).filter(|name| name.contains(word)).collect()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.objects.get(name).expect("read").expect("there")
    }
}

fn bucket(folder: &Path) -> Option<Bucket> {
    let server = object_server()?;
    let secret_file = folder.join("secret");
    std::fs::write(&secret_file, SECRET_KEY).expect("written");
    let (access_key, patience) = (Some(AccessKey { id: ACCESS_KEY.to_owned(), secret_file }), Patience::default());
    Some(Bucket { name: BUCKET.to_owned(), prefix: unique_prefix(), endpoint: Some(server.endpoint.clone()), region: None, access_key, patience })
}

/// Each law, wherever objects can lie.
fn everywhere(law: impl Fn(Place) + Sync) {
    for kind in [Kind::Folder, Kind::Bucket] {
        let Some(place) = Place::new(kind) else { continue };
        // Its name is in what a panic says.
        let within = std::thread::Builder::new().name(format!("in a {kind:?}"));
        let is_fine = std::thread::scope(|scope| within.spawn_scoped(scope, || law(place)).expect("a thread").join().is_ok());
        assert!(is_fine, "in a {kind:?}");
    }
}

fn meta(epoch: u64) -> Meta {
    Meta { format: crate::service::state::FORMAT, epoch, record_digest: epoch * 3, journal_offset: epoch * 5, ..Meta::default() }
}

#[test]
fn the_newest_is_loaded_as_it_was_and_unchanged_files_are_carried_once() {
    everywhere(|place| {
        assert_eq!(place.load(), None);
        place.go_on(1);
        let first = place.publish(1);
        // What changes while a copy is made or carried is not in it.
        place.go_on(2);
        assert_eq!(place.load(), Some((1, "1".to_owned())));
        assert!(place.publish(2) > 0 && first > 0);
        assert!(place.publish(2) == 0, "nothing is new");
        // Known from the copy before, and gone from the place since: it is carried again.
        let kept = place.objects.list("").expect("listed");
        kept.iter().for_each(|object| place.objects.delete(&object.name).expect("deleted"));
        assert!(place.publish(2) > 0);
        assert_eq!(place.load(), Some((2, "2".to_owned())));
        let manifest = &place.checkpoints.list(TASK).expect("listed")[0];
        assert_eq!((manifest.record_digest, manifest.journal_offset), (6, 10));
    });
}

/// Manifests go on naming it.
#[test]
fn a_file_that_is_gone_from_the_place_is_carried_again() {
    everywhere(|place| {
        place.go_on(1);
        place.publish(1);
        place.names("/files/").iter().for_each(|name| place.objects.delete(name).expect("deleted"));
        assert_eq!(place.load(), None);
        place.publish(2);
        assert_eq!(place.load(), Some((2, "1".to_owned())));
    });
}

/// What may become of an object; `None`: it is gone.
type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;

const DAMAGES: [(&str, Damage); 4] = [
    ("a flipped bit", |mut bytes| {
        let place = bytes.len() / 2;
        bytes[place] ^= 1;
        Some(bytes)
    }),
    ("torn", |bytes| Some(bytes[..bytes.len() / 2].to_vec())),
    ("empty", |_| Some(Vec::new())),
    ("missing", |_| None),
];

#[test]
fn of_each_damage_the_checkpoint_before_is_taken() {
    everywhere(|place| {
        let (mut found, mut done, mut epoch) = (0, 0, 0);
        for (what, damage) in DAMAGES {
            for kind in ["/files/", "/epochs/"] {
                epoch += 2;
                let (older, newer) = ((epoch, epoch.to_string()), (epoch + 1, (epoch + 1).to_string()));
                place.go_on(older.0);
                place.publish(older.0);
                let before = place.names(kind);
                place.go_on(newer.0);
                place.publish(newer.0);
                for name in place.names(kind).into_iter().filter(|name| !before.contains(name)) {
                    let whole = place.bytes(&name);
                    match damage(whole.clone()) {
                        Some(damaged) => place.objects.put(&name, damaged).expect("written"),
                        None => place.objects.delete(&name).expect("deleted"),
                    }
                    done += 1;
                    assert_eq!(place.load(), Some(older.clone()), "{what}: {name}");
                    found += 1;
                    place.objects.put(&name, whole).expect("written");
                    assert_eq!(place.load(), Some(newer.clone()), "restored: {name}");
                }
            }
        }
        assert!(found == done && done >= 12, "{found} of {done} damages were found");
    });
}

#[test]
fn checkpoints_of_somebody_else_are_passed_over() {
    everywhere(|place| {
        place.go_on(1);
        place.publish(1);
        let manifest = &place.names("/epochs/")[0];
        let bytes = place.bytes(manifest);
        for foreign in ["g/4/epochs/00000000000000000001-one/manifest.json", "h/3/epochs/00000000000000000001-one/manifest.json"] {
            place.objects.put(foreign, bytes.clone()).expect("copied");
        }
        assert!(place.checkpoints.list(4).expect("listed").is_empty(), "of another task");
        let other = Checkpoints::new(place.objects.clone(), "h", "one".to_owned());
        assert!(other.list(TASK).expect("listed").is_empty(), "of another group");
        let newer = String::from_utf8(bytes).expect("text").replacen("\"format\":1", "\"format\":2", 1);
        let json = newer.split_once('\n').expect("two lines").1;
        place.objects.put(manifest, format!("{}\n{json}", checksum(json.as_bytes())).into_bytes()).expect("written");
        assert!(place.epochs().is_empty(), "of a newer format");
    });
}

/// The older writer does not know yet that it is not in charge any more.
#[test]
fn two_writers_do_not_harm_each_other() {
    everywhere(|place| {
        place.go_on(5);
        let other = Checkpoints::new(place.objects.clone(), "g", "two".to_owned());
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
    });
}

#[test]
fn three_are_kept_and_young_files_stay() {
    everywhere(|place| {
        for epoch in 1..=5 {
            place.go_on(epoch);
            place.publish(epoch);
        }
        let files = place.names("/files/").len();
        place.checkpoints.prune(TASK, SystemTime::now()).expect("pruned");
        assert_eq!(place.epochs(), [5, 4, 3]);
        assert_eq!((place.names("/epochs/").len(), place.names("/files/").len()), (3, files), "somebody may be reading them");
        place.checkpoints.prune(TASK, SystemTime::now() + 2 * UNNAMED_AGE_MIN).expect("pruned");
        assert!(place.names("/files/").len() < files);
        assert_eq!(place.load(), Some((5, "5".to_owned())));
    });
}

/// What a store may do beside: tell old listings, forget what it is made for, or be away.
struct Altered {
    objects: Arc<dyn Objects>,
    altered: Mutex<Alteration>,
}

#[derive(Clone, Default)]
struct Alteration {
    /// What listings show, instead of what is there now.
    listing: Option<Vec<ObjectInfo>>,
    replaces: bool,
    is_away: bool,
}

impl Altered {
    fn over(objects: Arc<dyn Objects>) -> Arc<Self> {
        Arc::new(Self { objects, altered: Mutex::default() })
    }

    fn set(&self, alteration: Alteration) {
        *self.altered.lock().expect("no panic") = alteration;
    }

    fn now(&self) -> Result<Alteration, ObjectError> {
        let altered = self.altered.lock().expect("no panic").clone();
        if altered.is_away { Err(ObjectError { at: "away".to_owned(), what: "away".to_owned(), fault: ObjectFault::Store }) } else { Ok(altered) }
    }
}

impl Objects for Altered {
    fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ObjectError> {
        if self.now()?.replaces { self.objects.put(name, bytes).map(|()| true) } else { self.objects.create(name, bytes) }
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
        self.now()?;
        self.objects.put(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        self.now()?;
        self.objects.get(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
        match self.now()?.listing {
            Some(stale) => Ok(stale.into_iter().filter(|object| object.name.starts_with(&format!("{folder}/"))).collect()),
            None => self.objects.list(folder),
        }
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.now()?;
        self.objects.delete(name)
    }
}

/// A listing that lags shows what was deleted meanwhile, and lacks what is new: then an older checkpoint is taken, whole, and nothing is deleted that is named.
#[test]
fn stale_listings_lead_to_an_older_checkpoint_and_never_to_a_wrong_one() {
    everywhere(|mut place| {
        let altered = Altered::over(place.objects.clone());
        place.checkpoints.objects = altered.clone();
        let mut listings = Vec::new();
        for epoch in 1..=6 {
            place.go_on(epoch);
            place.publish(epoch);
            listings.push(place.objects.list("").expect("listed"));
        }
        let newest = Some((6, "6".to_owned()));
        for (behind, stale) in listings.into_iter().enumerate() {
            altered.set(Alteration { listing: Some(stale), ..Alteration::default() });
            let epoch = behind as u64 + 1;
            assert_eq!(place.load(), Some((epoch, epoch.to_string())));
            place.checkpoints.prune(TASK, SystemTime::now()).expect("pruned");
            altered.set(Alteration::default());
            assert_eq!(place.load(), newest, "pruned from an old listing");
        }
        // What is listed and gone.
        let all = place.objects.list("").expect("listed");
        place.checkpoints.prune(TASK, SystemTime::now() + 2 * UNNAMED_AGE_MIN).expect("pruned");
        altered.set(Alteration { listing: Some(all), ..Alteration::default() });
        assert_eq!(place.load(), newest);
    });
}

#[test]
fn a_store_is_checked_for_what_checkpoints_need() {
    everywhere(|place| {
        place.checkpoints.check().expect("it has all");
        assert!(place.names("").is_empty(), "nothing is left of it");
        let altered = Altered::over(place.objects.clone());
        let checkpoints = Checkpoints::new(altered.clone(), "g", "one".to_owned());
        altered.set(Alteration { replaces: true, ..Alteration::default() });
        let error = checkpoints.check().expect_err("it replaces");
        assert!(error.to_string().contains("If-None-Match") && error.fault == ObjectFault::Setup, "{error}");
        altered.set(Alteration { is_away: true, ..Alteration::default() });
        assert_eq!(checkpoints.check().expect_err("away").fault, ObjectFault::Store);
    });
}

/// A pattern set that could not be put there is with the next checkpoint, before that is to be found.
#[test]
fn pattern_sets_follow_when_the_store_is_back() {
    everywhere(|mut place| {
        let altered = Altered::over(place.objects.clone());
        place.checkpoints.objects = altered.clone();
        altered.set(Alteration { is_away: true, ..Alteration::default() });
        place.checkpoints.put_set(7, b"{}").expect_err("away");
        altered.set(Alteration::default());
        assert_eq!(place.checkpoints.get_set(7).expect("read"), None);
        place.go_on(1);
        place.publish(1);
        assert_eq!(place.checkpoints.get_set(7).expect("read").as_deref(), Some(b"{}".as_slice()));
        place.checkpoints.put_set(7, b"{}").expect("there already");
    });
}
