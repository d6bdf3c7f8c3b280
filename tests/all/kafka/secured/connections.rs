//! No connection, or none that is taken; and those that are.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::broker::unique;
use crate::kafka::secured::permissions::Deployment;
use crate::kafka::secured::rig::{PASSWORD, ROOT, Secured, secured};
use crate::workplace::Workplace;

/// Settings of the client, where it goes to, and what it is told.
struct Case {
    brokers: String,
    properties: BTreeMap<&'static str, String>,
    says: Vec<String>,
}

fn case(brokers: &str, properties: &[(&'static str, &str)], says: &[&str]) -> Case {
    // The last of a name counts.
    let properties = properties.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Case { brokers: brokers.to_owned(), properties, says: says.iter().map(|words| (*words).to_owned()).collect() }
}

fn user(mechanism: &'static str, name: &'static str, password: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("security.protocol", "sasl_plaintext"), ("sasl.mechanism", mechanism), ("sasl.username", name), ("sasl.password", password)]
}

fn cases(secured: &Secured) -> Vec<Case> {
    let Secured { broker, sasl, tls, mutual, .. } = secured;
    let [authority, other] = ["authority.crt", "other.crt"].map(|name| secured.certificate(name).display().to_string());
    let plain = &broker.address;
    let by_name = tls.replace("127.0.0.1", "localhost");
    let tls_of = |authority| [("security.protocol", "ssl"), ("ssl.ca.location", authority)];
    let sasl_tls =
        |authority: &'static str| [user("SCRAM-SHA-512", "alice", PASSWORD), vec![("security.protocol", "sasl_ssl"), ("ssl.ca.location", authority)]].concat();
    let authority: &'static str = authority.leak();
    let certificate = format!("TLS handshake with {tls} failed: its certificate is signed by no authority");
    vec![
        case(
            sasl,
            &user("SCRAM-SHA-512", "alice", "wrong"),
            &[&format!("Kafka at {sasl} refuses user alice with SCRAM-SHA-512"), "invalid credentials", "sasl.password"],
        ),
        case(sasl, &user("SCRAM-SHA-512", "nobody", PASSWORD), &["refuses user nobody with SCRAM-SHA-512", "invalid credentials", "sasl.username"]),
        case(sasl, &user("PLAIN", "alice", PASSWORD), &["does not take the sasl.mechanism PLAIN", "it takes SCRAM-SHA-512"]),
        case(sasl, &user("GSSAPI", "alice", PASSWORD), &["[kafka.properties]", "GSSAPI", "Motif speaks PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"]),
        case(sasl, &user("OAUTHBEARER", "alice", PASSWORD), &["OAUTHBEARER needs a token"]),
        case(sasl, &[], &[&format!("Kafka at {sasl} hangs up: security.protocol is PLAINTEXT"), "SASL_PLAINTEXT"]),
        case(tls, &[], &[&format!("Kafka at {tls} hangs up: security.protocol is PLAINTEXT"), "TLS (SSL)"]),
        case(tls, &user("SCRAM-SHA-512", "alice", PASSWORD), &["hangs up before we have said who we are", "SASL_SSL"]),
        case(plain, &user("SCRAM-SHA-512", "alice", PASSWORD), &[&format!("Kafka at {plain} asks for no user"), "set it to PLAINTEXT"]),
        case(tls, &sasl_tls(authority), &[&format!("Kafka at {tls} asks for no user"), "set it to SSL"]),
        case(plain, &tls_of(authority), &[&format!("TLS handshake with {plain} failed: it hangs up, as a listener without TLS does"), "set PLAINTEXT"]),
        case(sasl, &sasl_tls(authority), &[&format!("TLS handshake with {sasl} failed: it hangs up"), "set SASL_PLAINTEXT"]),
        case(tls, &tls_of(&other), &[&certificate, &format!("in {other} (ssl.ca.location)"), "certificate verify failed"]),
        case(tls, &[("security.protocol", "ssl")], &[&certificate, "that the system trusts", "set ssl.ca.location"]),
        case(&by_name, &tls_of(authority), &["its certificate is made out to another name than localhost"]),
        case(&by_name, &sasl_tls(authority), &["its certificate is made out to another name than localhost"]),
        case(mutual, &tls_of(authority), &["it asks for a certificate of ours: set ssl.certificate.location and ssl.key.location"]),
        case(tls, &tls_of("nowhere.crt"), &["[kafka.properties]", "ssl.ca.location failed"]),
        case(plain, &[("security.protcol", "ssl")], &["[kafka.properties]", "No such configuration property: \"security.protcol\""]),
        case("no-such-host.invalid:9092", &[], &["no Kafka broker answers at no-such-host.invalid:9092", "check the name in kafka.brokers"]),
        case("127.0.0.1:1", &[], &["no Kafka broker answers at 127.0.0.1:1", "Connection refused", "that the broker runs"]),
    ]
}

impl Case {
    fn work(&self) -> Workplace {
        let work = Workplace::new();
        work.write("p.motif", "stream s { user: string at: timestamp time at }\npattern p { from s by user match a: s }\n");
        let [group, input, output] = ["closed", "in", "out"].map(unique);
        let properties: String = self.properties.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\"\n")).collect();
        let text = format!(
            "[service]\nname = \"{group}\"\npatterns = [\"p.motif\"]\nstate = \"state\"\n[streams.s]\ntopic = \"{input}\"\n[output]\ntopic = \"{output}\"\nlate_topic = \"late\"\n\
             [kafka]\nbrokers = \"{}\"\n[kafka.properties]\n{properties}",
            self.brokers
        );
        work.write("motif.toml", text);
        work
    }

    fn check(&self, command: &str) {
        let sentence = self.work().refusal(&format!("{command} --config motif.toml"), 2);
        for words in &self.says {
            assert!(sentence.contains(words), "{command} at {} with {:?}: {sentence}\nwithout: {words}", self.brokers, self.properties);
        }
        assert!(!sentence.contains(PASSWORD), "{sentence}");
    }
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let Some(secured) = secured() else { return };
    let cases = cases(secured);
    std::thread::scope(|scope| {
        // Most of it is waiting.
        for cases in cases.chunks(4) {
            scope.spawn(|| cases.iter().for_each(|case| case.check("topics")));
        }
        // Every command that talks to Kafka says the same.
        for command in ["run", "verify", "dlq list"] {
            scope.spawn(|| cases[0].check(command));
        }
    });
}

/// All that a run does, it does over TLS: as nobody in particular, by a certificate, and by a password.
#[test]
fn whoever_is_let_in_over_tls_gets_his_matches() {
    let Some(secured) = secured() else { return };
    let [authority, certificate, key] = ["authority.crt", "root.crt", "root.key"].map(|name| secured.certificate(name).display().to_string());
    let trusts = ("ssl.ca.location", authority.as_str());
    let cases = [
        (&secured.tls, vec![("security.protocol", "SSL"), trusts]),
        (&secured.mutual, vec![("security.protocol", "SSL"), trusts, ("ssl.certificate.location", &certificate), ("ssl.key.location", &key)]),
        (&secured.sasl_tls, [&user("SCRAM-SHA-512", ROOT, PASSWORD)[1..], &[("security.protocol", "SASL_SSL"), trusts]].concat()),
    ];
    for (brokers, properties) in cases {
        let deployment = Deployment::new(secured, ROOT);
        deployment.connect(brokers, &properties);
        deployment.work.must("run --config motif.toml --until-end");
        let of_user = |value: &str| serde_json::from_str::<Value>(value).expect("JSON")["key"]["user"].as_str().map(str::to_owned);
        let matches: Vec<_> = secured.broker.read(&deployment.output).iter().filter_map(|read| of_user(&read.value)).collect();
        assert_eq!((matches, secured.broker.read(&deployment.late).len()), (vec!["a".to_owned(), "b".to_owned()], 1), "{brokers}: {properties:?}");
        deployment.work.must("verify --config motif.toml");
    }
}
