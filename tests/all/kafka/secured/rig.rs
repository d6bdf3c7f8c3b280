//! A broker that asks who one is and lets nobody do anything, but for whom it was told: users by SASL, certificates by TLS, rights by ACLs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::broker::{Broker, LIMIT, broker, free_port};

/// Of every user.
pub const PASSWORD: &str = "secret";

/// They may do nothing until someone is granted something.
pub const USERS: [&str; 3] = ["alice", "walker", "clerk"];

/// May do everything, by a password or by the certificate `root.crt`.
pub const ROOT: &str = "root";

pub struct Secured {
    /// Reached without a name, as one who may do everything.
    pub broker: Broker,
    /// Users by SCRAM-SHA-512, without TLS.
    pub sasl: String,
    /// TLS, whoever one is.
    pub tls: String,
    /// TLS, clients with a certificate only.
    pub mutual: String,
    /// Users by SCRAM-SHA-512, within TLS.
    pub sasl_tls: String,
    certificates: tempfile::TempDir,
}

/// A right, as the protocol of Kafka counts operations, kinds of resources and of patterns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Right {
    pub operation: &'static str,
    pub resource: &'static str,
    pub name: String,
    pub is_prefix: bool,
}

const OPERATIONS: [(&str, u8); 5] = [("Read", 3), ("Write", 4), ("Create", 5), ("Describe", 8), ("DescribeConfigs", 10)];
const RESOURCES: [(&str, u8); 4] = [("--topic", 2), ("--group", 3), ("--cluster", 4), ("--transactional-id", 5)];

/// The one of this test process. `None` as with [`broker`].
pub fn secured() -> Option<&'static Secured> {
    static SECURED: OnceLock<Option<Secured>> = OnceLock::new();
    SECURED.get_or_init(|| Secured::own(&[])).as_ref()
}

impl Secured {
    /// One that nobody else uses, with settings of its own.
    pub fn own(settings: &[&str]) -> Option<Self> {
        broker().map(|_| Self::start(settings))
    }

    fn start(settings_more: &[&str]) -> Self {
        let certificates = make_certificates();
        let (port, more, last) = (free_port(), free_port(), free_port());
        let listener = |port: u16| format!("127.0.0.1:{port}");
        let (sasl, tls, mutual, sasl_tls) = (listener(more), listener(more + 1), listener(last), listener(last + 1));
        let listeners = format!("PLAINTEXT://{},SASL://{sasl},TLS://{tls},MUTUAL://{mutual},BOTH://{sasl_tls}", listener(port));
        let file = |name: &str| certificates.path().join(name).display().to_string();
        let settings = [
            format!("listeners={listeners},CONTROLLER://{}", listener(port + 1)),
            format!("advertised.listeners={listeners}"),
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,MUTUAL:SSL,BOTH:SASL_SSL".to_owned(),
            "inter.broker.listener.name=PLAINTEXT".to_owned(),
            "sasl.enabled.mechanisms=SCRAM-SHA-512".to_owned(),
            "listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            "listener.name.both.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            format!("ssl.keystore.type=PEM\nssl.keystore.location={}", file("broker.pem")),
            format!("ssl.truststore.type=PEM\nssl.truststore.location={}", file("authority.crt")),
            "listener.name.mutual.ssl.client.auth=required".to_owned(),
            format!("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS;User:{ROOT};User:CN={ROOT}"),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(settings_more.iter().copied()).collect();
        std::fs::write(certificates.path().join("settings"), settings.join("\n") + "\n").expect("written");
        let users = USERS.iter().chain([&ROOT]).map(|user| format!("SCRAM-SHA-512=[name={user},password={PASSWORD}]")).collect::<Vec<_>>().join("\n");
        let broker = Broker::at(port, vec![("KAFKA_PROPERTIES", file("settings")), ("KAFKA_SCRAM", users)]);
        Self { broker, sasl, tls, mutual, sasl_tls, certificates }
    }

    /// `authority.crt` has signed the broker's certificate, and `root.crt`, whose key is `root.key`; `other.crt` has not.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }

    /// From now on the user is asked for this one.
    pub fn set_password(&self, user: &str, password: &str) {
        const ROUNDS: u32 = 4_096;
        let salt = b"a salt of sixteen";
        let hex: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
        let options = ["digest:SHA512", &format!("pass:{password}"), &format!("hexsalt:{hex}"), &format!("iter:{ROUNDS}")].map(str::to_owned);
        let mut command = Command::new("openssl");
        command.args(["kdf", "-keylen", "64", "-binary"]);
        for option in &options {
            command.args(["-kdfopt", option]);
        }
        let salted = command.arg("PBKDF2").output().expect("openssl runs");
        assert!(salted.status.success() && salted.stdout.len() == 64, "{}", String::from_utf8_lossy(&salted.stderr));
        // AlterUserScramCredentials, version 0, in the compact form: nothing behind the head, nobody deleted, one changed.
        let compact = |bytes: &[u8]| [&[u8::try_from(bytes.len() + 1).expect("short")], bytes].concat();
        let mut request = vec![0, 51, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 2];
        request.extend(compact(user.as_bytes()));
        request.push(2);
        request.extend(ROUNDS.to_be_bytes());
        request.extend([compact(salt), compact(&salted.stdout), vec![0, 0]].concat());
        let answer = self.ask(&request);
        // Behind its number, nothing, the wait and how many: whose, no error and no words about it.
        let expected = [vec![0, 0, 0, 0, 0, 2], compact(user.as_bytes()), vec![0, 0, 0, 0, 0]].concat();
        assert_eq!(answer[4..], expected, "not changed: {}", String::from_utf8_lossy(&answer));
    }

    /// As one who may do everything.
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.broker.address).expect("the broker listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a time");
        stream.write_all(&[&u32::try_from(request.len()).expect("short").to_be_bytes(), request].concat()).expect("sent");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).expect("an answer");
        answer
    }

    /// Takes a while to be true for all that a broker does.
    pub fn grant(&self, user: &str, rights: &[Right]) {
        let string = |text: &str| [&u16::try_from(text.len()).expect("short").to_be_bytes(), text.as_bytes()].concat();
        // CreateAcls, version 1, without a name of the client.
        let mut request = vec![0, 30, 0, 1, 0, 0, 0, 1, 0xff, 0xff];
        request.extend(u32::try_from(rights.len()).expect("few").to_be_bytes());
        for Right { operation, resource, name, is_prefix } in rights {
            let number = |table: &[(&str, u8)], name: &str| table.iter().find(|(known, _)| *known == name).expect("known here").1;
            request.push(number(&RESOURCES, resource));
            request.extend(string(name));
            request.push(if *is_prefix { 4 } else { 3 });
            request.extend([string(&format!("User:{user}")), string("*")].concat());
            request.extend([number(&OPERATIONS, operation), 3]);
        }
        let answer = self.ask(&request);
        // Behind its number, the wait and how many: no error, and no words about it.
        assert_eq!(&answer[12..], vec![0; 4 * rights.len()], "not granted: {}", String::from_utf8_lossy(&answer));
    }
}

impl Right {
    pub fn topic(operation: &'static str, name: &str) -> Self {
        Self { operation, resource: "--topic", name: name.to_owned(), is_prefix: false }
    }

    /// Those that the commands in a sentence grant to this user.
    pub fn named_in(sentence: &str, user: &str) -> Vec<Self> {
        let commands = sentence.split('`').filter(|text| text.starts_with("kafka-acls.sh"));
        commands.flat_map(|command| Self::of_command(command, user)).collect()
    }

    fn of_command(command: &str, user: &str) -> Vec<Self> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let all = |option: &str| words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].to_owned()).collect::<Vec<_>>();
        assert_eq!(all("--allow-principal"), [format!("User:{user}")], "{command}");
        let is_prefix = all("--resource-pattern-type") == ["prefixed"];
        let mut rights = Vec::new();
        for word in all("--operation") {
            let operation = OPERATIONS.iter().find(|(name, _)| *name == word).unwrap_or_else(|| panic!("no operation of Kafka's: {word}")).0;
            for (resource, _) in RESOURCES {
                rights.extend(all(resource).into_iter().map(|name| Self { operation, resource, name, is_prefix }));
            }
        }
        assert!(!rights.is_empty(), "nothing is granted: {command}");
        rights
    }
}

/// An authority, the broker's certificate, made out to 127.0.0.1, that of [`ROOT`], and an authority of somebody else.
fn make_certificates() -> tempfile::TempDir {
    const SCRIPT: &str = "
        key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $key -days 2 -subj /CN=authority -keyout authority.key -out authority.crt
        openssl req -x509 $key -days 2 -subj /CN=other -keyout other.key -out other.crt
        openssl req $key -subj /CN=broker -keyout broker.key -out broker.csr
        echo subjectAltName=IP:127.0.0.1 >names
        openssl x509 -req -in broker.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 -extfile names -out broker.crt
        openssl req $key -subj /CN=root -keyout root.key -out root.csr
        echo extendedKeyUsage=clientAuth >use
        openssl x509 -req -in root.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 -extfile use -out root.crt
        cat broker.key broker.crt >broker.pem";
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("bash").args(["-ec", SCRIPT]).current_dir(folder.path()).output().expect("bash runs");
    assert!(made.status.success(), "no certificates: {}", String::from_utf8_lossy(&made.stderr));
    folder
}
