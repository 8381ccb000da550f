//! Reads the fields of a request's body, and says exactly which of them is wrong and what may stand there.
//!
//! serde's own errors name the type but not the field, and stop at an unknown name without saying what was meant;
//! a client deserves both.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Refusal;

/// A field that is known and not served: its name, and as JSON what it may hold, since that changes nothing; `#` stands
/// for the place in a list. It may always be null.
pub type Neutral = (&'static str, &'static [&'static str]);

/// Longest word of serde's that is repeated: it may hold what a client wrote.
const MAX_REASON_CHARS: usize = 512;
/// Longest path to a field that is repeated.
const MAX_PATH_CHARS: usize = 128;

/// The fields of one JSON object.
pub struct Fields {
    endpoint: &'static str,
    values: Map<String, Value>,
}

impl Fields {
    /// Parses `body` as the object that `endpoint` takes, whose fields can only be the `known` ones.
    ///
    /// # Errors
    /// 400 for what is not a JSON object, and for every unknown field at once, with the known ones.
    pub fn parse(endpoint: &'static str, known: &[&str], body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Refusal::bad_request(format!(
                "{endpoint} needs a JSON object in the body; its fields are {}",
                known.join(", ")
            )));
        }
        let values = match serde_json::from_slice(body) {
            Ok(Value::Object(values)) => values,
            Ok(_) => {
                return Err(Refusal::bad_request(format!("the body of {endpoint} must be a JSON object")));
            }
            Err(e) => {
                return Err(Refusal::bad_request(format!("the body of {endpoint} is not JSON: {e}")));
            }
        };
        let unknown: Vec<_> = values.keys().filter(|name| !known.contains(&name.as_str())).collect();
        if unknown.is_empty() {
            return Ok(Self { endpoint, values });
        }
        let named: Vec<_> = unknown.iter().take(8).map(|name| named(name, known)).collect();
        Err(Refusal::bad_request(format!(
            "{endpoint} does not know the field {}; its fields are {}",
            named.join(", nor "),
            known.join(", ")
        )))
    }

    /// The value of `name`, where it is there and not null. `what` says what may stand there.
    ///
    /// # Errors
    /// 400 naming the field, what it holds and what it may hold.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<Option<T>, Refusal> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let shown = shown(&value);
                serde_json::from_value(value).map(Some).map_err(|_| self.wrong(name, &shown, what))
            }
        }
    }

    /// As [`Fields::optional`], for what must not be shown: the error does not say what the field holds.
    ///
    /// # Errors
    /// 400 naming the field and what it may hold.
    pub fn secret<T: DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<Option<T>, Refusal> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|_| {
                Refusal::bad_request(format!("the field '{name}' of {} must be {what}", self.endpoint))
            }),
        }
    }

    /// Whether `name` is there, null included.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value of `name`, which must be there.
    ///
    /// # Errors
    /// 400 as [`Fields::optional`], and where the field is missing.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<T, Refusal> {
        self.optional(name, what)?.ok_or_else(|| {
            Refusal::bad_request(format!("{} needs the field '{name}': {what}", self.endpoint))
        })
    }

    /// A field of Cloud Hypervisor's that its client always sends: only `neutral` values are served.
    ///
    /// # Errors
    /// 400 for any other value.
    pub fn only(&mut self, name: &str, neutral: &[Value]) -> Result<(), Refusal> {
        self.only_at(name, name, neutral)
    }

    /// As [`Fields::only`], with the whole path of `name` for the error.
    fn only_at(&mut self, path: &str, name: &str, neutral: &[Value]) -> Result<(), Refusal> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if neutral.contains(&value) => Ok(()),
            Some(value) => {
                let allowed: Vec<_> = neutral.iter().map(Value::to_string).collect();
                let allowed = if allowed.is_empty() { "null".into() } else { allowed.join(" or ") };
                Err(self.wrong(path, &shown(&value), &format!("{allowed}; nothing else is served")))
            }
        }
    }

    /// As [`Fields::only`], from a table.
    ///
    /// # Errors
    /// 400 for any other value.
    pub fn only_neutral(&mut self, (name, values): &Neutral) -> Result<(), Refusal> {
        self.only(name, &neutral_values(values, 0))
    }

    /// The value of `name` that is an object or a list of objects, where it is there and not null. A null in it is as if it
    /// were not there; fields in `neutral` may hold what changes nothing.
    ///
    /// # Errors
    /// 400 with the path to the field, and what is wrong there.
    pub fn part<T: DeserializeOwned>(
        &mut self,
        name: &str,
        neutral: &[Neutral],
    ) -> Result<Option<T>, Refusal> {
        let mut value = match self.values.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        match &mut value {
            Value::Array(all) => {
                for (place, each) in all.iter_mut().enumerate() {
                    self.without_neutral(&format!("{name}[{place}]"), place, each, neutral)?;
                }
            }
            whole => self.without_neutral(name, 0, whole, neutral)?,
        }
        serde_path_to_error::deserialize(value).map(Some).map_err(|error| {
            let path = match error.path().to_string().as_str() {
                "." => name.to_owned(),
                place if place.starts_with('[') => format!("{name}{place}"),
                inner => format!("{name}.{inner}"),
            };
            let (path, reason) =
                (cut(path, MAX_PATH_CHARS), cut(error.into_inner().to_string(), MAX_REASON_CHARS));
            Refusal::bad_request(format!("the field '{path}' of {} cannot be: {reason}", self.endpoint))
        })
    }

    /// Takes nulls and neutral fields out of one object; what is no object is for others to refuse.
    fn without_neutral(
        &self,
        path: &str,
        place: usize,
        value: &mut Value,
        neutral: &[Neutral],
    ) -> Result<(), Refusal> {
        let Value::Object(values) = value else { return Ok(()) };
        values.retain(|_, value| !value.is_null());
        let mut inner = Self { endpoint: self.endpoint, values: std::mem::take(values) };
        for (name, allowed) in neutral {
            let allowed = neutral_values(allowed, place);
            inner.only_at(&format!("{path}.{name}"), name, &allowed)?;
        }
        *values = inner.values;
        Ok(())
    }

    /// The error for a value of `name` that cannot be.
    #[must_use]
    pub fn wrong(&self, name: &str, shown: &str, what: &str) -> Refusal {
        Refusal::bad_request(format!("the field '{name}' of {} is {shown}; it must be {what}", self.endpoint))
    }
}

/// The unknown name, with the known one that it is probably a misspelling of.
fn named(name: &str, known: &[&str]) -> String {
    let shown: String = name.chars().take(64).collect();
    match known.iter().map(|k| (distance(name, k), k)).min() {
        Some((distance, meant)) if distance <= 3 => format!("{shown:?} (did you mean '{meant}'?)"),
        _ => format!("{shown:?}"),
    }
}

/// The values of a row of [`Neutral`], whose texts are JSON.
fn neutral_values(texts: &[&str], place: usize) -> Vec<Value> {
    texts
        .iter()
        .filter_map(|text| serde_json::from_str(&text.replace('#', &place.to_string())).ok())
        .collect()
}

/// A value as the client wrote it, cut where it is long.
fn shown(value: &Value) -> String {
    cut(value.to_string(), 64)
}

/// The first `most` characters.
fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// How many insertions, deletions and replacements lie between two names (Levenshtein); names are short, and a
/// long one is far from all of them.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
