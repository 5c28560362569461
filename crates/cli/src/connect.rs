//! Finds the server: a named one, or the local one through its `client.json`.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use fastgpu_client::{Client, ClientError};

use crate::detach;
use crate::failure::{Failure, exit};
use crate::local::{self, ClientFile};
use crate::output::Output;
use crate::settings::Settings;

/// How long a server that another call has just started may take to be ready.
const OTHER_PATIENCE: Duration = Duration::from_secs(3);
const ASKED_EVERY: Duration = Duration::from_millis(20);
/// How long whoever holds a port may take to say who it is.
pub(crate) const PEEK_PATIENCE: Duration = Duration::from_secs(1);

/// A client of the server that `settings` mean, once it is known that both speak the same API.
pub(crate) async fn connect(settings: &Settings) -> Result<Client, Failure> {
    let client = client(settings)?;
    client.check_version().await?;
    Ok(client)
}

/// As [`connect`]; where no local server is running, starts one and says so.
pub(crate) async fn connect_or_start(settings: &Settings, out: &Output) -> Result<Client, Failure> {
    match client(settings) {
        Ok(client) => match client.check_version().await {
            Ok(_) => return Ok(client),
            Err(error) if settings.url.is_none() && is_nobody(&error) => {}
            Err(error) => return Err(error.into()),
        },
        Err(failure) if failure.exit == exit::UNREACHABLE && settings.url.is_none() => {}
        Err(failure) => return Err(failure),
    }
    match detach::start(&settings.up(&crate::args::UpArgs::default())?, &[]) {
        Ok(started) => {
            out.say(&format!("started a server in the background at {}", started.ready.url));
            for line in started.ready.device_lines() {
                out.say(&format!("  {line}"));
            }
            connect(settings).await
        }
        Err(failure) => started_by_another(settings).await.ok_or(failure),
    }
}

/// Two calls at the same time both find no server; only one of them can start it, in a moment.
async fn started_by_another(settings: &Settings) -> Option<Client> {
    let deadline = Instant::now() + OTHER_PATIENCE;
    loop {
        if let Ok(client) = connect(settings).await {
            return Some(client);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// Whether the place where the last server was is empty now, or somebody else's.
fn is_nobody(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::NotFastGpu { .. })
}

/// A client of the server that `settings` mean. Nothing is sent yet.
pub(crate) fn client(settings: &Settings) -> Result<Client, Failure> {
    let Some(url) = &settings.url else { return local_client(settings) };
    let local = ClientFile::read(&settings.data_dir);
    if let Some(token) = &settings.token {
        return Ok(Client::new(url, Some(token))?);
    }
    // The local token is for the local server and for nobody else.
    match local.filter(|local| local.url.trim_end_matches('/') == url.trim_end_matches('/')) {
        Some(local) => Ok(guarded(Client::new(url, Some(&local.token))?, local.url, settings)),
        None => Ok(Client::new(url, None)?),
    }
}

/// A client of the local server, if it lives: where a dead one listened, anybody may listen now.
fn local_client(settings: &Settings) -> Result<Client, Failure> {
    let path = ClientFile::path(&settings.data_dir);
    let nobody = match ClientFile::find(&settings.data_dir).map_err(|error| unreadable(&path, &error))? {
        Some(local) if !local.url.is_empty() && local::is_served(&settings.data_dir) => {
            let token = settings.token.as_ref().unwrap_or(&local.token);
            return Ok(guarded(Client::new(&local.url, Some(token))?, local.url, settings));
        }
        Some(local) if !local.url.is_empty() => {
            Failure::new("no server is named, and the local one is not running")
                .note(format!("it listened at {} and ended without a word", local.url))
        }
        Some(_) => Failure::new("no server is named, and the local one is not running"),
        None => Failure::new("no server is named, and no local one was ever started here")
            .note(format!("{} does not exist", path.display())),
    };
    Err(nobody
        .help("start one with `fastgpu up --detach`, or name one with `--url` and FASTGPU_TOKEN")
        .exit(exit::UNREACHABLE))
}

/// Somebody else's folder, most often.
fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let whose = local::owner_of(path).map(|owner| format!(", which belongs to {owner},")).unwrap_or_default();
    Failure::new(format!("no server is named, and {}{whose} cannot be read", path.display()))
        .note(error.to_string())
        .help("name a server with `--url` and FASTGPU_TOKEN, or a folder of yours with `--data-dir`")
        .exit(exit::NO_PERMISSION)
}

/// Keeps the token from whoever comes to listen where the local server did, for calls that outlive it too.
fn guarded(client: Client, url: String, settings: &Settings) -> Client {
    let data_dir = settings.data_dir.clone();
    client.guarded(move || {
        // A server that came back elsewhere has left the old address to anybody.
        let listens_there = |local: ClientFile| local.url == url;
        local::is_served(&data_dir) && ClientFile::read(&data_dir).is_some_and(listens_there)
    })
}

/// A key that no other request has: 128 random bits.
pub(crate) fn fresh_key() -> Result<fastgpu_client::Key, Failure> {
    use std::fmt::Write as _;
    use std::io::Read;
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Failure::new(format!("the system gives no random numbers: {error}")))?;
    let text = bytes.iter().fold(String::from("cli-"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(fastgpu_client::Key::new(&text).expect("letters and digits are visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_and_cannot_be_read_is_not_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = ClientFile::path(folder.path());
        std::fs::create_dir(&path).unwrap();
        let error = ClientFile::find(folder.path()).unwrap_err();
        let failure = unreadable(&path, &error);
        let owner = local::owner_of(folder.path()).unwrap();
        assert!(
            failure.message.ends_with(&format!(", which belongs to {owner}, cannot be read")),
            "{failure:?}"
        );
        assert_eq!(failure.exit, exit::NO_PERMISSION);
    }
}
