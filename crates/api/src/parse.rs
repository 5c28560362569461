//! From bytes to a request: quick when it is right, thorough when it is wrong.
//!
//! A right body is read once, straight into its type. Only a wrong one is read again to name every wrong
//! part by JSON pointer: unknown keys with the nearest known one, repeated keys, wrong types. What the
//! values mean is checked later, where they are converted ([`crate::convert`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::hint::nearest;
use crate::problem::{FIELD_ERRORS_MAX, FieldError, Problem, codes, pointer_segment};
use crate::units::shown;

/// No request needs deeper nesting; parsers that recurse must not be driven by a caller.
pub const DEPTH_MAX: usize = 64;

/// A request body, and the table by which a wrong one is explained.
pub trait Request: DeserializeOwned {
    /// Its keys.
    const FIELDS: &'static [Field];
}

/// One key of a request.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value must be: `a text`, `a whole number`.
    pub expects: &'static str,
    /// Whether a value has the right type.
    pub reads: fn(&RawValue) -> bool,
    /// What is inside of its value.
    pub inside: Inside,
}

/// What is inside of a value.
#[derive(Debug)]
pub enum Inside {
    /// Nothing to be explained.
    Plain,
    /// If it is an object: these keys.
    Object(&'static [Field]),
    /// A list of objects with these keys.
    Objects(&'static [Field]),
    /// An object with any keys and objects with these keys as values.
    ObjectsByName(&'static [Field]),
    /// An object with any keys and texts as values.
    Texts,
}

impl Field {
    /// A key whose value must read as `T`.
    pub const fn plain<T: DeserializeOwned>(name: &'static str, expects: &'static str) -> Self {
        Self { name, expects, reads: reads::<T>, inside: Inside::Plain }
    }

    /// The same with something inside.
    pub const fn with<T: DeserializeOwned>(
        name: &'static str,
        expects: &'static str,
        inside: Inside,
    ) -> Self {
        Self { name, expects, reads: reads::<T>, inside }
    }
}

fn reads<T: DeserializeOwned>(raw: &RawValue) -> bool {
    serde_json::from_str::<T>(raw.get()).is_ok()
}

/// Reads a request body.
///
/// # Errors
/// A problem that names what is wrong and where.
pub fn parse<T: Request>(body: &[u8]) -> Result<T, Box<Problem>> {
    serde_json::from_slice(body)
        .map(|OnlyObject(request)| request)
        .map_err(|error| Box::new(explain(body, T::FIELDS, &error)))
}

/// A request must be an object: derived readers would also take a list of its values in order.
pub(crate) struct OnlyObject<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OnlyObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData)).map(Self)
    }
}

/// A list of objects.
pub(crate) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list: Vec<OnlyObject<T>> = Deserialize::deserialize(deserializer)?;
    Ok(list.into_iter().map(|OnlyObject(item)| item).collect())
}

#[cold]
fn explain(body: &[u8], fields: &'static [Field], first: &serde_json::Error) -> Problem {
    if body.trim_ascii().is_empty() {
        return Problem::new(&codes::BAD_JSON, "the body is empty").hint("send a JSON object");
    }
    if is_deeper_than(body, DEPTH_MAX) {
        return Problem::new(&codes::BAD_JSON, format!("the body is nested deeper than {DEPTH_MAX} levels"));
    }
    if std::str::from_utf8(body).is_err() {
        return Problem::new(&codes::BAD_JSON, "the body is not UTF-8").hint("encode the JSON as UTF-8");
    }
    if first.is_syntax() || first.is_eof() {
        return not_json(body, first);
    }
    let entries: Entries<'_> = match serde_json::from_slice(body) {
        Ok(entries) => entries,
        Err(error) if error.is_data() => {
            let detail = format!("must be a JSON object, not {}", kind_of(body));
            return Problem::of_fields(&codes::BAD_SPEC, vec![FieldError::new("", detail)]);
        }
        Err(error) => return not_json(body, &error),
    };
    let mut errors = Vec::new();
    inspect(&entries, fields, "", &mut errors);
    if errors.is_empty() {
        errors.push(FieldError::new("", first.to_string()));
    }
    Problem::of_fields(&codes::BAD_SPEC, errors)
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Problem {
    let problem = Problem::new(&codes::BAD_JSON, format!("the body is not JSON: {error}"));
    let has = |word: &[u8]| body.windows(word.len()).any(|part| part == word);
    if has(b"NaN") || has(b"Infinity") {
        return problem.hint("JSON knows neither NaN nor Infinity: write a number");
    }
    problem
}

fn inspect(entries: &Entries<'_>, fields: &'static [Field], at: &str, errors: &mut Vec<FieldError>) {
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in &entries.0 {
        if errors.len() > FIELD_ERRORS_MAX {
            return;
        }
        let pointer = format!("{at}/{}", pointer_segment(key));
        let Some(field) = fields.iter().find(|field| field.name == key) else {
            let known: Vec<_> = fields.iter().map(|field| field.name).collect();
            errors.push(FieldError::new(pointer, unknown_key(key, &known)));
            continue;
        };
        if seen.contains(&field.name) {
            let detail = format!("the key `{key}` is given twice; give it once");
            errors.push(FieldError::new(pointer, detail));
            continue;
        }
        seen.push(field.name);
        inspect_value(field, value, &pointer, errors);
    }
}

fn inspect_value(field: &Field, value: &RawValue, pointer: &str, errors: &mut Vec<FieldError>) {
    if (field.reads)(value) {
        return;
    }
    let before = errors.len();
    match field.inside {
        Inside::Plain => {}
        Inside::Object(fields) => {
            if let Ok(entries) = serde_json::from_str::<Entries<'_>>(value.get()) {
                inspect(&entries, fields, pointer, errors);
            }
        }
        Inside::Objects(fields) => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            for (index, item) in items.into_iter().enumerate() {
                match serde_json::from_str::<Entries<'_>>(item.get()) {
                    Ok(entries) => inspect(&entries, fields, &format!("{pointer}/{index}"), errors),
                    Err(_) => errors.push(FieldError::new(format!("{pointer}/{index}"), "must be an object")),
                }
            }
        }
        Inside::ObjectsByName(fields) => {
            let items =
                serde_json::from_str::<Entries<'_>>(value.get()).map_or_else(|_| Vec::new(), |all| all.0);
            let mut seen = BTreeSet::new();
            for (name, item) in &items {
                let at = format!("{pointer}/{}", pointer_segment(name));
                if !seen.insert(name) {
                    let detail = format!("the name `{}` is given twice; give it once", shown(name));
                    errors.push(FieldError::new(at, detail));
                    continue;
                }
                match serde_json::from_str::<Entries<'_>>(item.get()) {
                    Ok(entries) => inspect(&entries, fields, &at, errors),
                    Err(_) => errors.push(FieldError::new(at, "must be an object")),
                }
            }
        }
        Inside::Texts => {
            if let Ok(entries) = serde_json::from_str::<Entries<'_>>(value.get()) {
                inspect_texts(&entries, pointer, errors);
            }
        }
    }
    if errors.len() == before {
        let detail = format!("must be {}, not {}", field.expects, kind_of(value.get().as_bytes()));
        errors.push(FieldError::new(pointer, detail));
    }
}

fn inspect_texts(entries: &Entries<'_>, at: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (key, value) in &entries.0 {
        if errors.len() > FIELD_ERRORS_MAX {
            return;
        }
        let pointer = format!("{at}/{}", pointer_segment(key));
        if !seen.insert(key) {
            let detail = format!("the name `{}` is given twice; give it once", shown(key));
            errors.push(FieldError::new(pointer, detail));
        } else if !reads::<String>(value) {
            let detail = format!("must be a text in quotes, not {}", kind_of(value.get().as_bytes()));
            errors.push(FieldError::new(pointer, detail));
        }
    }
}

/// The sentence for a key nobody knows.
#[must_use]
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(word) => format!("there is no key `{}`; did you mean `{word}`?", shown(key)),
        None => format!("there is no key `{}`; the keys are {}", shown(key), known.join(", ")),
    }
}

fn kind_of(json: &[u8]) -> &'static str {
    match json.trim_ascii_start().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) => "this number",
        None => "nothing",
    }
}

fn is_deeper_than(body: &[u8], max: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

/// The entries of an object as they stand there, repeated keys included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Reads a map of texts, and refuses a repeated name rather than choose one.
pub(crate) fn texts_once<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    by_name_once(deserializer, "an object of texts").map(Option::unwrap_or_default)
}

/// Reads a map of objects the same way; null is as if it were left out.
pub(crate) fn objects_once<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, T>>, D::Error> {
    let objects = by_name_once::<OnlyObject<T>, D>(deserializer, "an object of objects")?;
    Ok(objects.map(|all| all.into_iter().map(|(name, OnlyObject(item))| (name, item)).collect()))
}

fn by_name_once<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    expects: &'static str,
) -> Result<Option<BTreeMap<String, T>>, D::Error> {
    struct Once<T>(&'static str, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Once<T> {
        type Value = Option<BTreeMap<String, T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some((name, value)) = map.next_entry()? {
                if all.insert(name, value).is_some() {
                    return Err(A::Error::custom("a name is given twice"));
                }
            }
            Ok(Some(all))
        }
    }
    deserializer.deserialize_any(Once(expects, PhantomData))
}
