//! The operator's token: made at the first start, kept in `client.json`, made anew when it is lost or no
//! longer valid.

use std::path::Path;

use fastgpu_control::Handle;
use fastgpu_core::change::Actor;
use fastgpu_core::command::Command;
use fastgpu_core::ids::{DEFAULT_PROJECT, Name};
use fastgpu_core::token::Role;
use fastgpu_server::auth::{NewToken, TokenKind, mint};

use crate::failure::Failure;
use crate::local::ClientFile;
use crate::settings::Environment;

/// Whom the first token stands for when the environment names nobody.
const OWNER_DEFAULT: &str = "admin";
/// Longest owner that is taken from the environment; names have at most this many characters.
const OWNER_CHARS_MAX: usize = 128;

/// Writes `client.json` for this server, with the token that is there if it still opens everything.
pub(super) async fn write_client_file(
    handle: &Handle,
    url: &str,
    data_dir: &Path,
    environment: &Environment,
) -> Result<(), Failure> {
    let kept = ClientFile::read(data_dir).filter(|file| is_admin(handle, &file.token));
    let token = match kept {
        Some(file) => file.token,
        None => make(handle, environment).await?,
    };
    ClientFile { url: url.to_owned(), token }.write(data_dir).map_err(|error| {
        Failure::new(format!("{} cannot be written: {error}", ClientFile::path(data_dir).display()))
    })
}

/// Takes the address of a server that does not listen out of `client.json`.
pub(super) fn forget_address(data_dir: &Path) {
    // A full disk must not keep a server from starting or ending; the lock of the folder says the same.
    if let Err(error) = ClientFile::forget_address(data_dir) {
        tracing::warn!(%error, "the old address stays in client.json");
    }
}

/// Whether this secret is that of a valid token for everything.
fn is_admin(handle: &Handle, secret: &str) -> bool {
    let hash = *blake3::hash(secret.as_bytes()).as_bytes();
    let now = handle.wall();
    handle
        .tokens()
        .values()
        .any(|token| token.hash == hash && token.role == Role::Admin && token.is_valid(now))
}

async fn make(handle: &Handle, environment: &Environment) -> Result<String, Failure> {
    let new = NewToken {
        kind: TokenKind::Person,
        owner: owner(environment),
        project: DEFAULT_PROJECT.into(),
        role: Role::Admin,
        created_at: handle.wall(),
        expires_at: None,
    };
    let (secret, token) =
        mint(new).map_err(|error| Failure::new(format!("the system gives no random numbers: {error}")))?;
    handle
        .command(Command::TokenCreate { token, actor: Actor::Local })
        .await
        .map_err(|error| Failure::new(format!("the first token could not be saved: {error}")))?;
    Ok(secret)
}

/// The user who starts the server, where the name is one that the API would take too.
fn owner(environment: &Environment) -> Name {
    let is_safe = |name: &&str| {
        name.len() <= OWNER_CHARS_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    environment
        .get("USER")
        .or_else(|| environment.get("LOGNAME"))
        .filter(is_safe)
        .unwrap_or(OWNER_DEFAULT)
        .into()
}
