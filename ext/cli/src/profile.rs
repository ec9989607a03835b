//! The configuration file, and its profiles: settings of a store under a name.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use serde::Deserialize;
use toml::Spanned;

/// A configuration file that was read.
pub struct ProfileFile {
    path: PathBuf,
    text: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    default_profile: Option<Spanned<String>>,
    #[serde(default)]
    profile: BTreeMap<String, Spanned<Profile>>,
}

/// The settings of a store.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    store_hash: Option<String>,
    url: Option<String>,
    /// A program and its arguments. The first line that it prints is the access token.
    pub token_command: Option<Vec<String>>,
    /// The environment variable with the access token.
    pub token_env: Option<String>,
    pub redis: Option<String>,
    pub max_in_flight: Option<usize>,
    pub reserve_quota: Option<f64>,
    pub user_agent: Option<String>,
}

/// How a store is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    StoreHash(String),
    Url(String),
}

/// A profile that was chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    pub name: String,
    pub address: Address,
    pub profile: Profile,
}

/// Returns where the configuration file is unless an option says otherwise: in the folder that the
/// operating system has for such files.
pub fn default_path() -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let folder = if cfg!(windows) {
        PathBuf::from(variable("APPDATA")?)
    } else {
        let configured = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        // A relative path is invalid there, by the specification of these folders.
        let configured = configured.filter(|folder| folder.is_absolute());
        match configured {
            Some(folder) => folder,
            None => PathBuf::from(variable("HOME")?).join(".config"),
        }
    };
    Some(folder.join("bigcommerce-attributes").join("config.toml"))
}

impl ProfileFile {
    /// Reads a file. Returns `None` if there is none.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => bail!("{}: can't be read: {error}", path.display()),
        };
        Self::parse(path, text).map(Some)
    }

    fn parse(path: &Path, text: String) -> anyhow::Result<Self> {
        let content = toml::from_str(&text).map_err(|error| {
            // Its own display would show the line, and with it a token that should not be there.
            let message = error.message().trim_end();
            let hint = match message.starts_with("unknown field `token`")
                || message.starts_with("unknown field `access_token`")
            {
                true => {
                    "; the file must not contain an access token: name a program that prints it \
                     with token_command, or an environment variable with token_env"
                }
                false => "",
            };
            let place = place(path, &text, error.span());
            anyhow!("{place}: {message}{hint}")
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
            content,
        })
    }

    /// Returns the profile with this name, or the default one.
    pub fn choose(&self, name: Option<&str>) -> anyhow::Result<Choice> {
        let content = &self.content;
        let shown = self.path.display();
        let names = || match content.profile.keys().cloned().collect::<Vec<_>>() {
            names if names.is_empty() => "it has none".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        let (name, asked_at) = match (name, &content.default_profile) {
            (Some(name), _) => (name, None),
            (None, Some(name)) => (name.get_ref().as_str(), Some(name.span())),
            (None, None) => match content.profile.keys().next() {
                Some(only) if content.profile.len() == 1 => (only.as_str(), None),
                _ => bail!(
                    "{shown}: there is no default_profile: name a profile with --profile, or set \
                     default_profile; {}",
                    names()
                ),
            },
        };
        let Some(profile) = content.profile.get(name) else {
            let place = place(&self.path, &self.text, asked_at);
            bail!("{place}: there is no profile {name:?}; {}", names());
        };
        let settings = profile.get_ref();
        match settings.address() {
            Ok(address) => Ok(Choice {
                name: name.to_owned(),
                address,
                profile: settings.clone(),
            }),
            Err(rule) => {
                let place = place(&self.path, &self.text, Some(profile.span()));
                bail!("{place}: profile {name}: {rule}")
            }
        }
    }
}

impl Profile {
    /// Returns the address, or the rule that the settings break.
    fn address(&self) -> Result<Address, &'static str> {
        let command = self.token_command.as_deref();
        if command.is_some() && self.token_env.is_some() {
            return Err("token_command and token_env exclude each other: remove one");
        }
        if command.is_some_and(<[String]>::is_empty) {
            return Err("token_command is empty: name a program and its arguments");
        }
        match (&self.store_hash, &self.url) {
            (Some(hash), None) => Ok(Address::StoreHash(hash.clone())),
            (None, Some(url)) => Ok(Address::Url(url.clone())),
            (Some(_), Some(_)) => Err("store_hash and url exclude each other: remove one"),
            (None, None) => Err("neither store_hash nor url is there: add one"),
        }
    }
}

/// Returns the file, and the line and the column of what was found in it.
fn place(path: &Path, text: &str, span: Option<Range<usize>>) -> String {
    let path = path.display();
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return path.to_string();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    format!("{path}:{line}:{}", column.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str, name: Option<&str>) -> Result<Choice, String> {
        let file = ProfileFile::parse(Path::new("config.toml"), text.to_owned());
        file.and_then(|file| file.choose(name))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_is_found_by_name_or_as_the_default() {
        let two = "default_profile = \"b\"\n[profile.a]\nstore_hash = \"aa\"\n[profile.b]\n\
                   url = \"https://b.example/v3\"\ntoken_command = [\"pass\", \"show\", \"b\"]\n";
        let choice = result(two, Some("a")).expect("a profile");
        assert_eq!(choice.address, Address::StoreHash("aa".to_owned()));
        assert_eq!(result(two, None).expect("a profile").name, "b");
        let only = "[profile.main]\nstore_hash = \"aa\"\nreserve_quota = 0.5\nmax_in_flight = 2\n";
        let choice = result(only, None).expect("a profile");
        assert_eq!(choice.name, "main");
        assert_eq!(choice.profile.reserve_quota, Some(0.5));
    }

    #[test]
    fn errors_name_the_line_and_the_rule() {
        for (text, name, error) in [
            (
                "[profile.a]\nstore_hsh = \"aa\"\n",
                None,
                "config.toml:2:1: unknown field `store_hsh`, expected one of `store_hash`, `url`, \
                 `token_command`, `token_env`, `redis`, `max_in_flight`, `reserve_quota`, \
                 `user_agent`",
            ),
            (
                "[profile.a]\nstore_hash = 7\n",
                None,
                "config.toml:2:14: invalid type: integer `7`, expected a string",
            ),
            (
                "profiles = 1\n",
                None,
                "config.toml:1:1: unknown field `profiles`, expected `default_profile` or `profile`",
            ),
            (
                "[profile.a]\nurl = \"x\"\nstore_hash = \"aa\"\n",
                None,
                "config.toml:1:1: profile a: store_hash and url exclude each other: remove one",
            ),
            (
                "\n[profile.a]\n",
                Some("a"),
                "config.toml:2:1: profile a: neither store_hash nor url is there: add one",
            ),
            (
                "[profile.a]\nurl = \"x\"\ntoken_command = []\n",
                None,
                "config.toml:1:1: profile a: token_command is empty: name a program and its arguments",
            ),
            (
                "[profile.a]\nurl = \"x\"\ntoken_command = [\"a\"]\ntoken_env = \"B\"\n",
                None,
                "config.toml:1:1: profile a: token_command and token_env exclude each other: remove one",
            ),
            (
                "[profile.a]\n[profile.b]\n",
                None,
                "config.toml: there is no default_profile: name a profile with --profile, or set \
                 default_profile; it has a, b",
            ),
            (
                "default_profile = \"c\"\n[profile.a]\n",
                None,
                "config.toml:1:19: there is no profile \"c\"; it has a",
            ),
            (
                "",
                Some("a"),
                "config.toml: there is no profile \"a\"; it has none",
            ),
        ] {
            assert_eq!(result(text, name).expect_err(text), error);
        }
    }

    #[test]
    fn a_token_in_the_file_is_refused_and_not_shown() {
        for field in ["token", "access_token"] {
            let text = format!("[profile.a]\nurl = \"x\"\n{field} = \"s3cr3t\"\n");
            let error = result(&text, None).expect_err(field);
            assert!(
                error.starts_with("config.toml:3:1: unknown field"),
                "{error}"
            );
            assert!(
                error.contains("must not contain an access token"),
                "{error}"
            );
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        let error = result("[profile.a]\ntoken = \"s3cr3t\n", None).expect_err("no end");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
