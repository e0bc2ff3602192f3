//! Policies in files, and `validate`.

use super::{difference_json, difference_text, differences};
use crate::commands::CommandError;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidewheel_risk::policy::Policy;

/// A policy in a file, or all that is wrong with it: the field, where one can be named, and what.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn read(path: &Path) -> Result<Result<Policy, Vec<(String, String)>>, CommandError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CommandError::Usage(format!("could not read policy {}: {error}", path.display())))?;
    let parsed: Result<Policy, String> = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string().trim_end().to_owned())
    };
    Ok(match parsed {
        Err(what) => Err(vec![(String::new(), what)]),
        Ok(policy) => {
            let problems = policy.problems();
            let problem = |problem: tidewheel_risk::policy::Problem| (problem.field, problem.what);
            if problems.is_empty() { Ok(policy) } else { Err(problems.into_iter().map(problem).collect()) }
        }
    })
}

/// Tells what is wrong with a policy, as `check` does of a configuration.
///
/// # Errors
/// If the output does not take it.
pub(super) fn tell(path: &Path, problems: &[(String, String)], out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let (count, path) = (problems.len(), path.display());
    let mut text = format!("{path} cannot be set: {count} problem{}\n", if count == 1 { "" } else { "s" });
    for (number, (field, what)) in (1..).zip(problems) {
        let separator = if field.is_empty() { "" } else { ": " };
        text += &format!("  {number}. {field}{separator}{what}\n");
    }
    out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
    Ok(ExitCode::FAILURE)
}

/// Tell all that is wrong with a policy; where nothing is, what in it differs from the defaults
#[derive(Debug, clap::Args)]
#[command(after_help = "Exits with 0 if it could be set, with 1 if not. Nothing is connected to.")]
pub(super) struct ValidateArgs {
    /// The document, TOML or JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Answer with JSON
    #[arg(long)]
    json: bool,
}

impl ValidateArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let read = read(&self.file)?;
        let told = read.as_ref().ok().map(|policy| differences(&Policy::with_version(policy.version), policy));
        if self.json {
            let problem = |(field, what): &(String, String)| {
                let field = Some(field).filter(|field| !field.is_empty());
                json!({ "field": field, "what": what })
            };
            let problems: Vec<Value> = read.as_ref().err().into_iter().flatten().map(problem).collect();
            let told = told.map(|told| told.iter().map(difference_json).collect::<Vec<_>>());
            let version = read.as_ref().ok().map(|policy| policy.version);
            let answer = json!({ "version": version, "problems": problems, "differs_from_defaults": told });
            writeln!(out, "{answer}").map_err(CommandError::Output)?;
            return Ok(if read.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        let policy = match &read {
            Ok(policy) => policy,
            Err(problems) => return tell(&self.file, problems, out),
        };
        let told = told.unwrap_or_default();
        let mut text = format!("{} can be set: version {}", self.file.display(), policy.version);
        text += if told.is_empty() { ", all by the defaults\n" } else { ", which differs from the defaults in\n" };
        for difference in &told {
            text += &format!("  {}\n", difference_text(difference));
        }
        out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_by_all_fields_that_cannot_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy");
        let check = |text: &str| {
            std::fs::write(&path, text).expect("space");
            read(&path).expect("it is there")
        };
        assert_eq!(check("version = 3\n"), Ok(Policy::with_version(3)));
        assert_eq!(check("{\"version\": 3}"), Ok(Policy::with_version(3)));
        let told = check("version = 0\n[limits]\ngross = 0\n").expect_err("nothing could be held");
        let fields: Vec<&str> = told.iter().map(|(field, _)| &**field).collect();
        assert!(fields.contains(&"version") && fields.contains(&"limits.gross"), "{told:?}");
        let told = check("version = 3\n[limits]\ngros = 1\n").expect_err("no such field");
        assert!(told.len() == 1 && told[0].1.contains("gros") && told[0].1.contains("line 3"), "{told:?}");
        let whole = super::super::document(&Policy::with_version(3));
        assert_eq!(check(&whole), Ok(Policy::with_version(3)));
        assert!(read(&folder.path().join("none")).is_err());
    }
}
