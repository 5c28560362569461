//! Finds the server: a named one, or the local one through its `client.json`.

use std::time::{Duration, Instant};

use fastgpu_client::{Client, ClientError};

use crate::failure::{Failure, exit};
use crate::local::ClientFile;
use crate::output::Output;
use crate::settings::Settings;
use crate::{detach, serve};

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
            for line in serve::device_lines(&started.ready) {
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
    let local = ClientFile::read(&settings.data_dir);
    let (url, token) = match (&settings.url, local) {
        (Some(url), local) => {
            // The local token is for the local server and for nobody else.
            let same = local.filter(|local| local.url.trim_end_matches('/') == url.trim_end_matches('/'));
            (url.clone(), settings.token.clone().or(same.map(|local| local.token)))
        }
        (None, Some(local)) => (local.url, settings.token.clone().or(Some(local.token))),
        (None, None) => {
            return Err(Failure::new("no server is named, and no local one was ever started here")
                .note(format!("{} does not exist", ClientFile::path(&settings.data_dir).display()))
                .help("start one with `fastgpu up --detach`, or name one with `--url` and FASTGPU_TOKEN")
                .exit(exit::UNREACHABLE));
        }
    };
    Ok(Client::new(&url, token.as_deref())?)
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
