//! The configuration file: defaults, units, and errors that name the key.

use super::*;

fn problem(text: &str) -> String {
    let error = Config::parse(text).expect_err(text);
    assert_eq!(error.exit_code(), 64);
    let line = error.to_string();
    assert!(!line.contains('\n'), "one line: {line}");
    line
}

#[test]
fn the_reference_file_is_the_built_in_configuration() {
    let text = include_str!("../../../systemd/fanlight.toml");
    assert_eq!(Config::parse(text), Ok(Config::default()));
}

#[test]
fn the_reference_file_shows_every_key() {
    let reference: toml::Table = toml::from_str(include_str!("../../../systemd/fanlight.toml")).expect("checked above");
    let effective: toml::Table = toml::from_str(&Config::default().to_toml()).expect("our own");
    for (section, keys) in &effective {
        for key in keys.as_table().expect("only sections").keys() {
            let shown = reference.get(section).and_then(|s| s.get(key));
            assert!(shown.is_some(), "systemd/fanlight.toml does not show {section}.{key}");
        }
    }
}

#[test]
fn the_effective_file_reads_back() {
    let text =
        "[media]\naddresses = [{ bind = \"0.0.0.0\", advertise = \"203.0.113.5\" }, \"::1\"]\n[demo]\nenabled = true\n";
    let config = Config::parse(text).expect("a good file");
    assert_eq!(Config::parse(&config.to_toml()), Ok(config));
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    assert!(problem("[media]\nadresses = []\n").contains("adresses"));
    assert!(problem("[medai]\n").contains("medai"));
    assert!(problem("[limits]\n\nbody = 64\n").starts_with("configuration line 3"));
    assert!(problem("[limits]\nbody = \"64kb\"\n").contains("64kb"));
}

#[test]
fn plain_http_stays_on_loopback() {
    assert!(problem("[public]\nhttp = \"0.0.0.0:80\"\n").starts_with("public.http"));
    assert!(Config::parse("[public]\nhttp = \"0.0.0.0:80\"\nbehind_proxy = true\n").is_ok());
    assert!(problem("[local]\nlisten = \"0.0.0.0:7790\"\n").starts_with("local.listen"));
}

#[test]
fn links_lead_where_browsers_can_safely_go() {
    let url = |url: &str| format!("[public]\nurl = \"{url}\"\n");
    for good in ["", "https://relay.example", "https://relay.example:8443", "http://localhost:7700", "http://[::1]"] {
        assert!(Config::parse(&url(good)).is_ok(), "{good}");
    }
    for bad in [
        "http://relay.example",
        "https://relay.example/",
        "https://relay.example/x",
        "relay.example",
        "https://a@b",
        "x",
    ] {
        assert!(problem(&url(bad)).starts_with("public.url"), "{bad}");
    }
}

#[test]
fn a_demo_on_a_public_address_must_be_wanted() {
    let on = |text: &str| Config::parse(text).expect(text).demo_on();
    assert!(on(""));
    assert!(!on("[public]\nhttps = \"0.0.0.0:443\"\n"));
    assert!(on("[public]\nhttps = \"0.0.0.0:443\"\n[demo]\nenabled = true\n"));
    assert!(!on("[demo]\nenabled = false\n"));
    assert!(on("[demo]\nenabled = \"auto\"\n"));
}

#[test]
fn relations_between_keys_are_checked() {
    assert!(problem("[public]\ncert = \"a.pem\"\n").starts_with("public.key"));
    assert!(problem("[public]\nhttp = \"off\"\nhttps = \"off\"\n").starts_with("public.http"));
    assert!(problem("[media]\naddresses = [\"0.0.0.0\"]\n").starts_with("media.addresses"));
    assert!(problem("[quic]\nbase_port = 7731\n").starts_with("quic.base_port"));
    assert!(problem("[media]\nshards = 65\n").starts_with("media.shards"));
    for origin in ["shop.example", "https://shop.example/", "https://*.example", "https://Shop.example", "https://"] {
        assert!(problem(&format!("[public]\norigins = [\"{origin}\"]\n")).starts_with("public.origins"), "{origin}");
        let embed = format!("[public]\nembed_origins = [\"{origin}\"]\n");
        assert!(problem(&embed).starts_with("public.embed_origins"), "{origin}");
    }
    for server in ["stun.example", "stun:", "http://stun.example", "stun:a>; rel=x"] {
        let text = format!("[public]\nice_servers = [\"{server}\"]\n");
        assert!(problem(&text).starts_with("public.ice_servers"), "{server}");
    }
}

#[test]
fn shards_follow_the_cores_up_to_eight() {
    let config = Config::default();
    assert_eq!([1, 2, 8, 64].map(|cores| config.shard_count(cores)), [1, 2, 8, 8]);
}
