//! Folder and bucket keep the same promises; what is wrong with a bucket is told in a sentence.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::object_server::{ACCESS_KEY, BUCKET, ObjectServer, READER_KEY, SECRET_KEY, object_server, unique_prefix};

/// A prefix of the tests' store that nobody else uses.
fn bucket(server: &ObjectServer, secrets: &FilePath, key: &str, secret: &str) -> Bucket {
    let secret_file = secrets.join(format!("{key}-{secret}"));
    std::fs::write(&secret_file, format!("{secret}\n")).expect("written");
    Bucket {
        name: BUCKET.to_owned(),
        prefix: unique_prefix(),
        endpoint: Some(server.endpoint.clone()),
        region: None,
        access_key: Some(AccessKey { id: key.to_owned(), secret_file }),
        patience: Patience::default(),
    }
}

fn good_bucket(server: &ObjectServer, secrets: &FilePath) -> Bucket {
    bucket(server, secrets, ACCESS_KEY, SECRET_KEY)
}

fn objects_are_made_once_replaced_listed_and_deleted(objects: &StoredObjects) {
    let names = |folder| objects.list(folder).expect("lists").into_iter().map(|object| object.name).collect::<Vec<_>>();
    assert_eq!(names("a"), [""; 0]);
    assert!(objects.create("a/1/x", b"1".to_vec()).expect("made"));
    assert!(!objects.create("a/1/x", b"2".to_vec()).expect("there"), "made once");
    assert_eq!(objects.get("a/1/x").expect("read").as_deref(), Some(b"1".as_slice()));
    objects.put("a/1/x", b"3".to_vec()).expect("replaced");
    objects.put("a/10/y", Vec::new()).expect("made");
    assert_eq!(objects.get("a/1/x").expect("read").as_deref(), Some(b"3".as_slice()));
    assert_eq!(objects.get("a/10/y").expect("read").as_deref(), Some(b"".as_slice()));
    assert_eq!(names("a"), ["a/1/x", "a/10/y"]);
    assert_eq!(names("a/1"), ["a/1/x"], "a folder, not any beginning of a name");
    for _ in 0..2 {
        objects.delete("a/1/x").expect("deleted");
    }
    assert_eq!(objects.get("a/1/x").expect("read"), None);
    // More than one answer's worth of names, and more bytes than fit into one piece.
    let many: Vec<String> = (0..1_100).map(|number| format!("m/{number:04}")).collect();
    std::thread::scope(|scope| {
        for some in many.chunks(100) {
            scope.spawn(move || some.iter().for_each(|name| objects.put(name, Vec::new()).expect("made")));
        }
    });
    assert!(names("m") == many, "all names, in order");
    let large: Vec<u8> = (0..20_000_000_u32).map(|number| number.to_le_bytes()[number as usize % 3]).collect();
    objects.put("large", large.clone()).expect("made");
    assert!(objects.get("large").expect("read") == Some(large));
}

/// However many try at once, one makes it.
fn one_of_many_makes_an_object(objects: &StoredObjects) {
    for round in 0..5 {
        let (made, name) = (AtomicUsize::new(0), format!("race/{round}"));
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let (made, name) = (&made, &name);
                scope.spawn(move || made.fetch_add(usize::from(objects.create(name, vec![number; 1_000]).expect("tried")), Ordering::Relaxed));
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1, "{name}");
        let bytes = objects.get(&name).expect("read").expect("there");
        assert!(bytes.len() == 1_000 && bytes.iter().all(|byte| *byte == bytes[0]), "whole, of one writer");
    }
}

#[test]
fn a_folder_keeps_the_promises() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = StoredObjects::in_folder(&folder.path().join("new/one")).expect("opens");
    objects_are_made_once_replaced_listed_and_deleted(&objects);
    one_of_many_makes_an_object(&objects);
}

/// A checkpoint has a directory of its own, and there is one every half minute.
#[test]
fn a_directory_goes_with_its_last_object_while_others_put_theirs_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = StoredObjects::in_folder(folder.path()).expect("opens");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let objects = &objects;
            scope.spawn(move || {
                for round in 0..200 {
                    let name = format!("a/b/{}-{number}/x", round % 2);
                    assert!(objects.create(&name, vec![1]).expect("made"));
                    objects.put(&format!("a/c/{number}"), vec![2]).expect("made");
                    objects.list("a").expect("lists");
                    objects.delete(&name).expect("deleted");
                    objects.delete(&format!("a/c/{number}")).expect("deleted");
                }
            });
        }
    });
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder itself stays").map(|entry| entry.expect("read").path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_bucket_keeps_the_promises() {
    let Some(server) = object_server() else { return };
    let secrets = tempfile::tempdir().expect("a folder");
    let objects = StoredObjects::in_bucket(&good_bucket(server, secrets.path())).expect("opens");
    objects_are_made_once_replaced_listed_and_deleted(&objects);
    one_of_many_makes_an_object(&objects);
    // Without a prefix names are the same.
    let whole = Bucket { prefix: String::new(), ..good_bucket(server, secrets.path()) };
    let (whole, name) = (StoredObjects::in_bucket(&whole).expect("opens"), format!("{}/x", unique_prefix()));
    whole.put(&name, b"1".to_vec()).expect("made");
    assert_eq!(whole.list(name.trim_end_matches("/x")).expect("lists")[0].name, name);
}

/// What is set up wrongly: said at every call, never taken for an object that is not there.
#[test]
fn what_a_bucket_refuses_is_told_with_what_to_do() {
    let Some(server) = object_server() else { return };
    let secrets = tempfile::tempdir().expect("a folder");
    let good = good_bucket(server, secrets.path());
    let reader = bucket(server, secrets.path(), READER_KEY, SECRET_KEY);
    let cases = [
        ("no bucket", Bucket { name: "no-such-bucket".to_owned(), ..good.clone() }, "no such bucket", true),
        ("another secret", bucket(server, secrets.path(), ACCESS_KEY, "wrong-secret"), "does not accept the credentials", true),
        ("another key", bucket(server, secrets.path(), "no-such-key", SECRET_KEY), "does not accept the credentials", true),
        ("may not write", reader, "denies access", false),
    ];
    for (what, bucket, said, reads_fail) in cases {
        let objects = StoredObjects::in_bucket(&bucket).expect("asks nothing yet");
        let mut errors = vec![objects.create("a", b"1".to_vec()).expect_err(what), objects.put("a", b"1".to_vec()).expect_err(what)];
        if reads_fail {
            errors.extend([objects.get("a").expect_err(what), objects.list("a").expect_err(what)]);
        }
        for error in errors {
            let text = error.to_string();
            assert!(text.contains(said) && text.contains(&format!("s3://{}/", bucket.name)), "{what}: {text}");
            assert_eq!(error.fault, ObjectFault::Setup, "{what}: {text}");
            assert!(!text.contains(SECRET_KEY) && !text.contains("wrong-secret") && !text.contains('<'), "{what}: {text}");
        }
    }
    let missing = Bucket { access_key: Some(AccessKey { id: "A".to_owned(), secret_file: secrets.path().join("none") }), ..good };
    let error = StoredObjects::in_bucket(&missing).err().expect("no secret");
    assert!(error.to_string().contains("none: No such file"), "{error}");
}

/// Patience is short here, so that the test is.
#[test]
fn a_store_that_is_away_or_slow_is_the_stores_fault_and_comes_back() {
    let Some(server) = ObjectServer::own() else { return };
    let secrets = tempfile::tempdir().expect("a folder");
    let patience = Patience { connect: Duration::from_millis(500), request: Duration::from_secs(2), retry: Duration::from_millis(300) };
    let bucket = Bucket { patience, ..good_bucket(&server, secrets.path()) };
    let objects = StoredObjects::in_bucket(&bucket).expect("opens");
    await_put(&objects);
    type Fault = fn(&ObjectServer);
    let faults: [(&str, Fault, Fault); 2] = [
        ("the store does not answer in time", ObjectServer::freeze, ObjectServer::unfreeze),
        // Of a kept connection it is told that it broke.
        ("connection to the store", ObjectServer::kill, ObjectServer::restart),
    ];
    for (said, begin, end) in faults {
        begin(&server);
        let errors = [
            // What is asked of a frozen store may be done yet, once it goes on.
            objects.create("a/y", b"1".to_vec()).expect_err(said),
            objects.put("a/z", b"2".to_vec()).expect_err(said),
            objects.get("a/x").expect_err(said),
            objects.list("a").expect_err(said),
            objects.delete("a/z").expect_err(said),
        ];
        for error in errors {
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.fault, ObjectFault::Store, "{error}");
        }
        end(&server);
        await_put(&objects);
        assert_eq!(objects.get("a/x").expect("read").as_deref(), Some(b"1".as_slice()), "{said}");
    }
}

/// With TLS: chosen at all, and what cannot be reached is said.
#[test]
fn an_endpoint_with_tls_is_asked_with_tls() {
    let secrets = tempfile::tempdir().expect("a folder");
    std::fs::write(secrets.path().join("s"), SECRET_KEY).expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let first = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("asked");
        let mut first = [0];
        std::io::Read::read_exact(&mut stream, &mut first).expect("a byte");
        first[0]
    });
    let bucket = Bucket {
        name: BUCKET.to_owned(),
        prefix: String::new(),
        endpoint: Some(format!("https://{address}")),
        region: None,
        access_key: Some(AccessKey { id: ACCESS_KEY.to_owned(), secret_file: secrets.path().join("s") }),
        patience: Patience { retry: Duration::ZERO, ..Patience::default() },
    };
    let objects = StoredObjects::in_bucket(&bucket).expect("opens");
    let error = objects.get("a").expect_err("nobody answers");
    assert_eq!(error.fault, ObjectFault::Store, "{error}");
    // A handshake of TLS, not a line of HTTP.
    assert_eq!(first.join().expect("asked"), 0x16);
}

/// Until the store is there; it may take a moment to find its disks.
fn await_put(objects: &StoredObjects) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = objects.put("a/x", b"1".to_vec()) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
