//! Request parameters with Vault's coercions. `vault write k=v` sends every value as a string, so what a string means
//! is the server's business: `"true"` is a boolean where one is asked for, `"5"` a number, `"a,b"` a list.
//! Values keep their exact JSON text until somebody asks for a type.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::duration::GoDuration;
use crate::error::Error;

/// How many top-level parameters one request may have. The largest real ones (role definitions) have about forty.
const MAX_FIELDS: usize = 1024;

/// The parameters of one request: the top level of a JSON body, a form, or a query.
#[derive(Default)]
pub struct Fields(BTreeMap<String, Field>);

/// The names alone: values are secrets.
impl fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

enum Field {
    Json(Box<RawValue>),
    Text(String),
}

impl Fields {
    /// Reads a JSON body. Nothing and `null` are no parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not one JSON object, or has too many members.
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let members: Option<BTreeMap<String, Box<RawValue>>> =
            serde_json::from_slice(body).map_err(|error| Error::bad_request(complaint(&error)))?;
        let members = members.unwrap_or_default();
        if members.len() > MAX_FIELDS {
            return Err(Error::bad_request(format!(
                "refused JSON input due to high complexity: more than {MAX_FIELDS} members"
            )));
        }
        Ok(Self(
            members
                .into_iter()
                .map(|(name, value)| (name, Field::Json(value)))
                .collect(),
        ))
    }

    /// Takes decoded form or query pairs; a name given more than once becomes a comma-separated list.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are too many.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut fields: BTreeMap<String, Field> = BTreeMap::new();
        for (name, value) in pairs {
            if let Some(Field::Text(text)) = fields.get_mut(&name) {
                text.push(',');
                text.push_str(&value);
            } else if fields.len() == MAX_FIELDS {
                return Err(Error::bad_request("too many parameters"));
            } else {
                fields.insert(name, Field::Text(value));
            }
        }
        Ok(Self(fields))
    }

    /// The same parameters with `limit` at most `page_size`, for lists that a policy allows only in pages.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the limit that was sent is no number.
    pub fn with_page_size(&self, page_size: u32) -> Result<Self, Error> {
        let mut fields: BTreeMap<String, Field> = BTreeMap::new();
        for name in self.names() {
            let value = self.value(name).as_ref().and_then(scalar);
            fields.insert(name.to_owned(), Field::Text(value.unwrap_or_default()));
        }
        let limit = match self.integer("limit")? {
            Some(limit) if limit > 0 => limit.min(i64::from(page_size)),
            _ => i64::from(page_size),
        };
        fields.insert("limit".to_owned(), Field::Text(limit.to_string()));
        Ok(Self(fields))
    }

    /// Whether the parameter was sent at all, be it as `null`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names that were sent, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value's exact JSON text; `None` when absent (but `Some("null")` when null).
    pub fn raw(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.0.get(name)? {
            Field::Json(value) => Some(Cow::Borrowed(value.get())),
            Field::Text(text) => Some(Cow::Owned(Value::from(text.as_str()).to_string())),
        }
    }

    /// The value as JSON; `None` when absent or null.
    pub fn value(&self, name: &str) -> Option<Value> {
        match self.0.get(name)? {
            Field::Json(value) => serde_json::from_str(value.get())
                .ok()
                .filter(|value: &Value| !value.is_null()),
            Field::Text(text) => Some(Value::from(text.as_str())),
        }
    }

    /// A text. Numbers and booleans are taken by their text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an object or a list.
    pub fn string(&self, name: &'static str) -> Result<Option<String>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => scalar(&value)
                .map(Some)
                .ok_or_else(|| mismatch(name, "expected a string")),
        }
    }

    /// A text that must be there and not empty.
    ///
    /// # Errors
    /// [`Error::Invalid`] with `missing` when it is not.
    pub fn required_string(&self, name: &'static str, missing: &str) -> Result<String, Error> {
        self.string(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::invalid(name, missing))
    }

    /// A whole number. Empty text counts as absent.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else, or a number beyond 64 bits.
    pub fn integer(&self, name: &'static str) -> Result<Option<i64>, Error> {
        match self.string(name)?.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| mismatch(name, "expected a whole number")),
        }
    }

    /// A boolean, in the forms of Go's `ParseBool`. Empty text counts as absent.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, Error> {
        match self.string(name)?.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => parse_bool(text)
                .map(Some)
                .ok_or_else(|| mismatch(name, "expected true or false")),
        }
    }

    /// A length of time: seconds or Go's syntax.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn duration(&self, name: &'static str) -> Result<Option<GoDuration>, Error> {
        self.string(name)?
            .map(|text| GoDuration::parse(name, &text))
            .transpose()
    }

    /// A list of texts: a JSON list, or text with commas. Empty text is an empty list.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an element is an object or a list.
    pub fn list(&self, name: &'static str) -> Result<Option<Vec<String>>, Error> {
        let wrong = || mismatch(name, "expected a list of strings");
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| scalar(item).ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(value) => {
                let text = scalar(&value).ok_or_else(wrong)?;
                Ok(Some(
                    text.split(',')
                        .map(str::trim)
                        .filter(|item| !item.is_empty())
                        .map(str::to_owned)
                        .collect(),
                ))
            }
        }
    }

    /// A map of texts: a JSON object with scalar members, text or a list of texts like `key=value`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn map(&self, name: &'static str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let wrong = || mismatch(name, "expected a map of strings");
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => members
                .into_iter()
                .map(|(key, value)| Ok((key, scalar(&value).ok_or_else(wrong)?)))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => self
                .list(name)?
                .unwrap_or_default()
                .iter()
                .map(|pair| {
                    let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
                    Ok((key.to_owned(), value.to_owned()))
                })
                .collect::<Result<_, _>>()
                .map(Some),
        }
    }

    /// Vault's warning about parameters that mean nothing to an endpoint; they are never an error.
    pub fn unrecognized(&self, known: &[&str]) -> Option<String> {
        let unknown: Vec<&str> = self.names().filter(|name| !known.contains(name)).collect();
        (!unknown.is_empty()).then(|| {
            format!(
                "Endpoint ignored these unrecognized parameters: [{}]",
                unknown.join(" ")
            )
        })
    }
}

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What is wrong with a body. The library's own words for JSON of another kind quote it, and it may be a secret.
fn complaint(error: &serde_json::Error) -> String {
    let why = match error.classify() {
        Category::Data => format!(
            "expected an object at line {} column {}",
            error.line(),
            error.column()
        ),
        Category::Syntax | Category::Eof | Category::Io => error.to_string(),
    };
    format!("failed to parse JSON input: {why}")
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn mismatch(name: &'static str, expected: &str) -> Error {
    Error::invalid(
        name,
        format!("error converting input for field {name:?}: {expected}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::from_json(body.as_bytes()).unwrap()
    }

    #[test]
    fn nothing_and_null_are_no_parameters() {
        assert!(fields("").is_empty());
        assert!(fields(" null ").is_empty());
        assert!(Fields::from_json(b"[1]").is_err());
        assert!(Fields::from_json(b"{\"a\":1").is_err());
        assert!(Fields::from_json(b"{} {}").is_err());
        let error = Fields::from_json(b"\"hunter2\"").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn strings_become_what_is_asked_for() {
        let fields = fields(
            r#"{"n":"5","m":5,"b":"true","c":true,"d":"1h","l":"a, b","k":[1,"x"],"z":null}"#,
        );
        assert_eq!(fields.integer("n").unwrap(), Some(5));
        assert_eq!(fields.integer("m").unwrap(), Some(5));
        assert_eq!(fields.boolean("b").unwrap(), Some(true));
        assert_eq!(fields.boolean("c").unwrap(), Some(true));
        assert_eq!(
            fields.duration("d").unwrap(),
            Some(GoDuration::from_seconds(3600))
        );
        assert_eq!(
            fields.duration("m").unwrap(),
            Some(GoDuration::from_seconds(5))
        );
        assert_eq!(fields.list("l").unwrap().unwrap(), ["a", "b"]);
        assert_eq!(fields.list("k").unwrap().unwrap(), ["1", "x"]);
        assert_eq!(fields.string("z").unwrap(), None);
        assert!(fields.contains("z"));
    }

    #[test]
    fn wrong_types_name_the_field() {
        let fields = fields(r#"{"n":"five","m":1.5,"o":{}}"#);
        for error in [
            fields.integer("n"),
            fields.integer("m"),
            fields.integer("o"),
        ] {
            let error = error.unwrap_err();
            assert!(
                matches!(error, Error::Invalid { field: Some(_), .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn maps_come_in_three_forms() {
        for body in [
            r#"{"m":{"a":"1"}}"#,
            r#"{"m":"a=1"}"#,
            r#"{"m":["a=1"]}"#,
            r#"{"m":{"a":1}}"#,
        ] {
            assert_eq!(fields(body).map("m").unwrap().unwrap()["a"], "1", "{body}");
        }
        assert!(fields(r#"{"m":{"a":{}}}"#).map("m").is_err());
    }

    #[test]
    fn numbers_keep_their_text() {
        let fields = fields(r#"{"data":{"big":9007199254740993,"f":1.0}}"#);
        assert_eq!(
            fields.raw("data").unwrap(),
            r#"{"big":9007199254740993,"f":1.0}"#
        );
    }
}
