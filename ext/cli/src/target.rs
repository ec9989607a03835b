//! Which store is meant: by an option, the environment, or the configuration file, in this order.

use anyhow::{anyhow, bail};
use bigcommerce_ext::{ACCESS_TOKEN_VARIABLE, BASE_URL_VARIABLE, STORE_HASH_VARIABLE};

use crate::args::Global;
use crate::profile::{self, Address, Choice, Profile, ProfileFile};
use crate::{token, variable};

/// The environment variable that contains the URL of the Redis.
const REDIS_VARIABLE: &str = "BIGCOMMERCE_REDIS_URL";
/// The token for a store on this machine, which takes any.
pub const PLACEHOLDER: &str = "placeholder";

/// How a store is named, for the one who has named none, or one that can't be.
pub const HOW_TO_NAME: &str = "set BIGCOMMERCE_STORE_HASH (or BIGCOMMERCE_BASE_URL) and \
                               BIGCOMMERCE_ACCESS_TOKEN, or give --url, or give --profile for a \
                               profile of the configuration file; --sandbox tries the program \
                               without a store";

/// A store, and the settings for it.
pub struct StoreTarget {
    pub address: Address,
    /// The settings of a profile, or none.
    pub profile: Profile,
    /// The name of the profile.
    pub profile_name: Option<String>,
    /// What names the store.
    pub origin: &'static str,
    /// Whether an option names the profile, so that its settings come before the environment.
    is_explicit: bool,
}

impl StoreTarget {
    /// Finds the store that the options, the environment or the configuration file name.
    pub fn find(global: &Global) -> anyhow::Result<Self> {
        if let Some(url) = &global.url {
            return Ok(Self::without_profile(Address::Url(url.clone()), "--url"));
        }
        if global.profile.is_some() || global.config.is_some() {
            let path = global.config.clone().or_else(profile::default_path);
            let path = path.ok_or_else(|| {
                anyhow!(
                    "the folder of the configuration file is unknown: name the file with --config"
                )
            })?;
            let file = ProfileFile::read(&path)?.ok_or_else(|| {
                anyhow!(
                    "{}: there is no such configuration file: create it, or name another one with \
                     --config",
                    path.display()
                )
            })?;
            return Self::of_profile(&file, global.profile.as_deref(), true);
        }
        if let Some(url) = variable::read(BASE_URL_VARIABLE)? {
            return Ok(Self::without_profile(Address::Url(url), BASE_URL_VARIABLE));
        }
        if let Some(hash) = variable::read(STORE_HASH_VARIABLE)? {
            return Ok(Self::without_profile(
                Address::StoreHash(hash),
                STORE_HASH_VARIABLE,
            ));
        }
        let file = match profile::default_path() {
            Some(path) => ProfileFile::read(&path)?,
            None => None,
        };
        match file {
            Some(file) => Self::of_profile(&file, None, false),
            None => bail!("no store is named: {HOW_TO_NAME}"),
        }
    }

    fn without_profile(address: Address, origin: &'static str) -> Self {
        Self {
            address,
            profile: Profile::default(),
            profile_name: None,
            origin,
            is_explicit: false,
        }
    }

    fn of_profile(
        file: &ProfileFile,
        name: Option<&str>,
        is_explicit: bool,
    ) -> anyhow::Result<Self> {
        let Choice {
            name,
            address,
            profile,
        } = file.choose(name)?;
        Ok(Self {
            address,
            profile,
            profile_name: Some(name),
            origin: "the configuration file",
            is_explicit,
        })
    }

    /// Returns the access token: of an option, then of the environment or the profile.
    pub fn token(&self, global: &Global) -> anyhow::Result<String> {
        if global.token_stdin {
            return token::from_standard_input();
        }
        if let Some(command) = &global.token_command {
            return token::from_shell(command);
        }
        let token = match self.is_explicit {
            true => match self.token_of_profile()? {
                None => variable::read(ACCESS_TOKEN_VARIABLE)?,
                token => token,
            },
            false => match variable::read(ACCESS_TOKEN_VARIABLE)? {
                None => self.token_of_profile()?,
                token => token,
            },
        };
        match (token, &self.address) {
            (Some(token), _) => Ok(token),
            // The library allows plain http to this machine only.
            (None, Address::Url(url)) if url.starts_with("http://") => Ok(PLACEHOLDER.to_owned()),
            (None, _) => bail!(
                "there is no access token for {}: set {ACCESS_TOKEN_VARIABLE}, give --token-stdin or \
                 --token-command, or add token_command or token_env to a profile",
                self.label()
            ),
        }
    }

    fn token_of_profile(&self) -> anyhow::Result<Option<String>> {
        if let Some(name) = &self.profile.token_env {
            let token = variable::read(name)?.ok_or_else(|| {
                anyhow!(
                    "the environment variable {name} is not set, which profile {} names for its \
                     access token",
                    self.profile_name.as_deref().unwrap_or_default()
                )
            })?;
            return Ok(Some(token));
        }
        match self.profile.token_command.as_deref() {
            Some([program, arguments @ ..]) => token::from_program(program, arguments).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns the URL of the Redis that shares the limits, if there is one.
    pub fn redis(&self, global: &Global) -> anyhow::Result<Option<String>> {
        if let Some(url) = redis_option(global)? {
            return Ok(Some(url));
        }
        let of_profile = match &self.profile.redis {
            Some(url) => {
                let name = self.profile_name.as_deref().unwrap_or_default();
                refuse_password(url, &format!("the redis of profile {name}"))?;
                Some(url.clone())
            }
            None => None,
        };
        match of_profile {
            Some(url) if self.is_explicit => Ok(Some(url)),
            of_profile => Ok(variable::read(REDIS_VARIABLE)?.or(of_profile)),
        }
    }

    /// Returns what reports and messages call the store: its base URL.
    pub fn label(&self) -> String {
        match &self.address {
            Address::StoreHash(hash) => format!("https://api.bigcommerce.com/stores/{hash}/v3"),
            Address::Url(url) => without_user(url.trim_end_matches('/')),
        }
    }
}

/// Returns a URL without what may be secret: a user name, a password, a query.
fn without_user(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // A password may contain a slash by mistake.
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{host}")
}

/// Returns the URL of the Redis that an option names.
pub fn redis_option(global: &Global) -> anyhow::Result<Option<String>> {
    match &global.redis {
        Some(url) => {
            refuse_password(url, "--redis")?;
            Ok(Some(url.clone()))
        }
        None => Ok(None),
    }
}

/// Refuses a URL with a password where others can read it: the list of processes, or a file.
fn refuse_password(url: &str, origin: &str) -> anyhow::Result<()> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split('/').next().unwrap_or_default();
    // Sockets take it as a parameter.
    let (_, query) = rest.split_once('?').unwrap_or_default();
    if authority.contains('@') || query.contains("pass=") {
        bail!(
            "{origin} contains a user name or a password, which other users of this machine could \
             read: set the environment variable {REDIS_VARIABLE} to the URL"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_redis_are_refused_and_not_shown() {
        for url in [
            "redis://:p4ss@host:6379",
            "rediss://user:p4ss@host",
            "redis+unix:///run/redis.sock?db=0&pass=p4ss",
            "user:p4ss@host",
        ] {
            let error = refuse_password(url, "--redis").expect_err(url).to_string();
            assert!(
                error.contains(REDIS_VARIABLE) && !error.contains("p4ss"),
                "{error}"
            );
        }
        for url in [
            "redis://host:6379/0",
            "redis+unix:///run/redis.sock?db=1",
            "host",
        ] {
            refuse_password(url, "--redis").expect(url);
        }
    }

    #[test]
    fn a_store_is_called_by_its_url_without_secrets() {
        for url in [
            "https://user:p4ss@host.example/stores/x/v3",
            "https://user:p4/ss@host.example/stores/x/v3",
            "https://host.example/stores/x/v3?token=p4ss",
        ] {
            assert_eq!(without_user(url), "https://host.example/stores/x/v3");
        }
    }
}
