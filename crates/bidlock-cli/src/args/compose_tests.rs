//! `compose.yaml` is YAML, and everything that it tells a scanner is known here.

use clap::Parser;
use serde_yaml_ng::Value;

use super::Cli;

fn compose() -> Value {
    let mut file: Value = serde_yaml_ng::from_str(include_str!("../../../../compose.yaml")).unwrap();
    file.apply_merge().unwrap();
    file
}

fn texts(list: &Value) -> Vec<String> {
    list.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_compose_tells_scanners_is_known() {
    let file = compose();
    for name in ["scanner-1", "scanner-2"] {
        let service = &file["services"][name];
        for (variable, _) in service["environment"].as_mapping().unwrap() {
            let variable = variable.as_str().unwrap();
            assert!(
                bidlock_config::is_known_variable(variable),
                "{name} sets {variable}, and nothing reads it"
            );
        }
        for words in [&service["command"], &service["healthcheck"]["test"]] {
            let words = texts(words);
            let words = words.iter().skip_while(|word| *word == "CMD");
            assert!(Cli::try_parse_from(words.clone()).is_ok(), "{name}: {words:?}");
        }
        for secret in texts(&service["secrets"]) {
            assert!(!file["secrets"][&secret]["file"].is_null(), "{name} wants {secret}, which is nowhere");
            let path = format!("/run/secrets/{secret}");
            let used =
                service["environment"].as_mapping().unwrap().values().any(|v| v.as_str() == Some(&path));
            assert!(used, "{name} has {secret} and does not read it");
        }
    }
}

/// Least privilege, secrets by file, and a start in order.
#[test]
fn compose_gives_no_more_than_is_needed() {
    let file = compose();
    for (name, service) in file["services"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        assert!(!service["healthcheck"]["test"].is_null(), "{name}");
        assert!(service["ports"].is_null(), "{name} need not be reached from outside");
        for (variable, value) in service["environment"].as_mapping().into_iter().flatten() {
            let secret = variable.as_str().unwrap().contains("PASSWORD");
            let value = value.as_str().unwrap_or_default();
            assert!(!secret || value.starts_with("/run/secrets/"), "{name}: {variable:?}");
        }
        if name.starts_with("scanner") {
            for engine in ["redis", "postgres"] {
                assert_eq!(service["depends_on"][engine]["condition"], "service_healthy", "{name}");
            }
        }
    }
    let redis = serde_yaml_ng::to_string(&file["services"]["redis"]["command"]).unwrap();
    assert!(redis.contains("noeviction") && redis.contains("--appendonly yes"), "{redis}");
}
