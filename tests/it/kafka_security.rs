//! A broker that wants a password and shows a certificate: the built program reads from it and writes to it, is refused with
//! words that help, and shows the password to nobody.

use crate::harness::distribution::run;
use crate::harness::kafka::{Addition, Broker, free_ports};
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::{Setup, tidewheel};
use crate::kafka_live::readers::{bars_of_lake, same};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const USER: &str = "alice";

/// Nothing else may look like it, since it is searched for in all that is printed.
const PASSWORD: &str = "correct-horse-battery-staple";

/// A broker with a second listener, `SASL_SSL` with SCRAM.
struct Secured {
    broker: Broker,
    /// The address of the second listener.
    address: String,
    /// The broker's certificate, which vouches for itself.
    certificate: PathBuf,
    /// One of somebody else.
    other_certificate: PathBuf,
    _folder: tempfile::TempDir,
}

impl Secured {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (keys, certificate) = certificate(folder.path(), "broker");
        let (_, other_certificate) = self::certificate(folder.path(), "somebody-else");
        let [port] = free_ports();
        let address = format!("127.0.0.1:{port}");
        let addition = |_: &Path| Addition {
            listener: Some(("SECURED".to_owned(), "SASL_SSL".to_owned(), address.clone())),
            properties: vec![
                "sasl.enabled.mechanisms=SCRAM-SHA-512".to_owned(),
                "listener.name.secured.scram-sha-512.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;"
                    .to_owned(),
                format!("ssl.keystore.location={}", keys.display()),
                "ssl.keystore.type=PKCS12".to_owned(),
                format!("ssl.keystore.password={STORE_PASSWORD}"),
                format!("ssl.key.password={STORE_PASSWORD}"),
            ],
            format: vec!["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")],
        };
        let broker = Broker::start_with(addition);
        Self { broker, address, certificate, other_certificate, _folder: folder }
    }

    /// A configuration for the second listener, without a password.
    fn setup(&self, topic: &str, folder: &Path, certificate: &Path) -> Setup {
        let properties = format!(
            "properties = {{ \"security.protocol\" = \"SASL_SSL\", \"sasl.mechanism\" = \"SCRAM-SHA-512\", \
             \"sasl.username\" = {USER:?}, \"ssl.ca.location\" = {certificate:?} }}\n"
        );
        let mut setup = Setup::new(&self.address, topic, folder);
        setup.source = properties.clone();
        setup.kafka += &properties;
        setup
    }
}

/// Opens the key stores of the tests.
const STORE_PASSWORD: &str = "store-password";

/// A key in a store, and its certificate as text, for the address of this machine.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let keys = folder.join(format!("{name}.p12"));
    let certificate = folder.join(format!("{name}.pem"));
    let mut make = Command::new("keytool");
    make.args(["-genkeypair", "-alias", name, "-keyalg", "EC", "-validity", "3650", "-storetype", "PKCS12"])
        .args(["-dname", &format!("CN={name}"), "-ext", "san=ip:127.0.0.1,dns:localhost"])
        .args(["-storepass", STORE_PASSWORD, "-keystore"])
        .arg(&keys);
    run(make, "make a key for the broker");
    let mut export = Command::new("keytool");
    export.args(["-exportcert", "-rfc", "-alias", name, "-storepass", STORE_PASSWORD, "-keystore"]).arg(&keys);
    export.arg("-file").arg(&certificate);
    run(export, "export the broker's certificate");
    (keys, certificate)
}

/// The password, for source and sink, as an operator gives it.
fn with_password(mut command: Command, password: &str) -> Command {
    for section in ["SOURCE", "KAFKA"] {
        command.env(format!("TIDEWHEEL_{section}__PROPERTIES__SASL_PASSWORD"), password);
    }
    command
}

/// Runs to the end; in time, and without a word of the password.
fn finish(mut command: Command, password: &str) -> (Output, String) {
    let begun = Instant::now();
    let output = command.output().expect("the program starts");
    assert!(begun.elapsed() < Duration::from_secs(60), "{command:?} took {:?}", begun.elapsed());
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!printed.contains(password), "the password is in: {printed}");
    (output, printed)
}

#[test]
fn a_broker_with_passwords_and_certificates_is_read_and_written_and_refusals_say_what_to_mend() {
    let secured = Secured::start();
    let recorded = Recorded::new(market(11, 2_000, ALL_FAULTS));
    let topic = secured.broker.topic("secured", PARTITIONS);
    recorded.send_all(secured.broker.address(), &topic, Spread::Keyed);
    let setup = secured.setup(&topic, recorded.folder(), &secured.certificate);
    let file = setup.file();

    let check = || tidewheel(&["check", "--config", &file]);
    let (output, printed) = finish(with_password(check(), PASSWORD), PASSWORD);
    assert!(output.status.success() && printed.contains(&topic), "{printed}");

    // The harness looks on through the plain listener.
    let mut command = with_password(setup.command(), PASSWORD);
    command.env("TIDEWHEEL_LOG", "debug");
    let mut running = setup.start_command(command, secured.broker.address());
    running.wait_until_read(recorded.messages.len() as u64);
    let (printed, logged) = running.stop_with_log();
    assert!(!printed.contains(PASSWORD) && !logged.contains(PASSWORD), "{printed}{logged}");
    same(&bars_of_lake(&setup.lake), &recorded.replayed().0);

    let wrong = "wrong-horse-battery-staple";
    for command in [setup.command(), check()] {
        let (output, printed) = finish(with_password(command, wrong), wrong);
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains(&format!("could not log in to kafka at {}: ", secured.address)), "{printed}");
        assert!(printed.contains("check sasl.username, sasl.password and sasl.mechanism"), "{printed}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let distrustful = secured.setup(&topic, folder.path(), &secured.other_certificate);
    let distrustful_check = tidewheel(&["check", "--config", &distrustful.file()]);
    for command in [distrustful.command(), distrustful_check] {
        let (output, printed) = finish(with_password(command, PASSWORD), PASSWORD);
        assert_eq!(output.status.code(), Some(1), "{printed}");
        let expected = format!("could not make a secure connection to kafka at {}: ", secured.address);
        assert!(printed.contains(&expected) && printed.contains("ssl.ca.location"), "{printed}");
    }
}
