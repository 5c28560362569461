//! What a token looks like: how one is made, and how its form is recognised.

use std::io::{self, Read};

use fastgpu_core::ids::Name;
use fastgpu_core::token::{Role, Token};
use fastgpu_core::units::Timestamp;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX_CHARS: usize = 4;
const ID_CHARS: usize = 8;
/// 62^43 is just more than 2^256.
const SECRET_CHARS: usize = 43;
/// 62^6 is more than 2^32.
const CHECK_CHARS: usize = 6;
const TOKEN_CHARS: usize = PREFIX_CHARS + ID_CHARS + SECRET_CHARS + CHECK_CHARS;

/// For whom a token is made; its first letters, so that scanners find a leaked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `fgp_`
    Person,
    /// `fgs_`
    Service,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Person => "fgp_",
            Self::Service => "fgs_",
        }
    }
}

/// What a new token may do.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For whom it is.
    pub kind: TokenKind,
    /// Whom it stands for.
    pub owner: Name,
    /// The project it belongs to.
    pub project: Name,
    /// What it may do.
    pub role: Role,
    /// When it is made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token: the secret for its owner, and what is kept of it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn mint(new: NewToken) -> io::Result<(String, Token)> {
    let mut random = [0u8; 40];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let (id_bytes, secret_bytes) = random.split_at(8);
    let id = base62(id_bytes, ID_CHARS);
    let mut secret = format!("{}{id}{}", new.kind.prefix(), base62(secret_bytes, SECRET_CHARS));
    secret.push_str(&checksum(&secret));
    let token = Token {
        id: id.into(),
        hash: *blake3::hash(secret.as_bytes()).as_bytes(),
        owner: new.owner,
        project: new.project,
        role: new.role,
        created_at: new.created_at,
        expires_at: new.expires_at,
        revoked_at: None,
    };
    Ok((secret, token))
}

/// The last `chars` digits of a big-endian number, in base 62.
fn base62(bytes: &[u8], chars: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![0; chars];
    for slot in digits.iter_mut().rev() {
        let mut rest = 0u16;
        for byte in &mut number {
            let value = rest << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 62).expect("rest is below 62, so the quotient fits a byte");
            rest = value % 62;
        }
        *slot = ALPHABET[usize::from(rest)];
    }
    String::from_utf8(digits).expect("the alphabet is ASCII")
}

fn checksum(text: &str) -> String {
    base62(&blake3::hash(text.as_bytes()).as_bytes()[..4], CHECK_CHARS)
}

/// The public part of a text that has the form of a token.
pub(super) fn public_part(text: &str) -> Option<&str> {
    let known = text.starts_with(TokenKind::Person.prefix()) || text.starts_with(TokenKind::Service.prefix());
    if !known
        || text.len() != TOKEN_CHARS
        || !text[PREFIX_CHARS..].bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return None;
    }
    let (body, check) = text.split_at(TOKEN_CHARS - CHECK_CHARS);
    (checksum(body) == check).then_some(&text[PREFIX_CHARS..PREFIX_CHARS + ID_CHARS])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewToken {
        NewToken {
            kind: TokenKind::Person,
            owner: "ada".into(),
            project: "default".into(),
            role: Role::Member,
            created_at: Timestamp(0),
            expires_at: None,
        }
    }

    #[test]
    fn a_token_is_recognised_by_its_form_and_a_slip_of_the_hand_is_caught() {
        let (secret, token) = mint(new()).unwrap();
        assert_eq!(secret.len(), TOKEN_CHARS);
        assert_eq!(public_part(&secret), Some(&*token.id));
        assert_eq!(token.hash, *blake3::hash(secret.as_bytes()).as_bytes());
        for position in 0..secret.len() {
            let mut slipped = secret.clone().into_bytes();
            slipped[position] = if slipped[position] == b'x' { b'y' } else { b'x' };
            assert_eq!(public_part(std::str::from_utf8(&slipped).unwrap()), None, "{position}");
        }
        for bad in ["", "fgp_", &secret[1..], &secret[..60], &format!("{secret}0")] {
            assert_eq!(public_part(bad), None, "{bad}");
        }
        assert_ne!(mint(new()).unwrap().0, secret);
    }

    #[test]
    fn base_62_keeps_every_bit() {
        assert_eq!(base62(&[0xff; 32], SECRET_CHARS).len(), SECRET_CHARS);
        assert_eq!(base62(&[0, 61], 2), "0z");
        assert_eq!(base62(&[1, 0], 3), "048");
    }
}
