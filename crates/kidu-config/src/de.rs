//! From the tree to typed settings, strictly: no number becomes a text, no text a number, no key is passed over.

use kidu_core::suggest::nearest;
use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::BorrowedStrDeserializer,
    },
};

use crate::{
    error::{ConfigError, Place, Result},
    node::{Entry, Node, Value, join},
    read_error::{Problem, ReadError, hint},
};

/// Reads a value from the tree at `key`.
pub(crate) fn from_node<'de, T: Deserialize<'de>>(node: &'de Node, key: &str) -> Result<T> {
    let reader = Reader { node, key: key.to_string() };
    T::deserialize(reader.clone()).map_err(|e| *reader.locate(e).settled.unwrap_or_else(|| reader.fallback()))
}

/// A value and its full key.
#[derive(Clone)]
struct Reader<'de> {
    node: &'de Node,
    key: String,
}

impl<'de> Reader<'de> {
    fn child(&self, key: &str, node: &'de Node) -> Self {
        Reader { node, key: join(&self.key, key) }
    }

    /// Reads this value. The error is given its place here too: a tagged enum fails after its reader is done.
    fn read<T: DeserializeSeed<'de>>(&self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self.clone()).map_err(|e| self.locate(e))
    }

    fn place(&self) -> Box<Place> {
        Place::new(&self.key, &self.node.origin)
    }

    fn fallback(&self) -> Box<ConfigError> {
        Box::new(ConfigError::Invalid {
            place: self.place(),
            found: self.node.describe(),
            reason: "cannot be read".into(),
        })
    }

    /// Gives an error its place, unless it has one. An unknown key that is not one of this map's was met further in,
    /// where serde keeps a copy without places (a tagged enum); it is reported for this value.
    fn locate(&self, error: ReadError) -> ReadError {
        if error.settled.is_some() {
            return error;
        }
        let settled = match &error.problem {
            Problem::Other(reason) => {
                ConfigError::Invalid { place: self.place(), found: self.node.describe(), reason: reason.clone() }
            }
            Problem::Type(expected) => {
                let mut found = self.node.describe();
                if let Some(text) = self.node.as_str() {
                    found.push_str(hint(expected, text));
                }
                ConfigError::WrongType { place: self.place(), expected: expected.clone(), found }
            }
            Problem::UnknownKey(key, known) => self.unknown_key(key, known),
            Problem::MissingKey(key) => {
                ConfigError::MissingKey { place: Place::new(join(&self.key, key), &self.node.origin) }
            }
            Problem::Variant(found, known) => {
                let place = self.variant_place(found);
                let near = nearest(found, known.iter().copied()).map(String::from);
                ConfigError::BadVariant { place, found: found.clone(), nearest: near, known: known.join(", ") }
            }
        };
        ReadError { settled: Some(Box::new(settled)), ..error }
    }

    fn unknown_key(&self, key: &str, known: &[&str]) -> ConfigError {
        let origin = self.node.entries().iter().find(|e| e.key == key).map_or(&self.node.origin, |e| &e.key_origin);
        let near = nearest(key, known.iter().copied()).map(|k| join(&self.key, k));
        let hint = if near.is_some() || known.is_empty() {
            String::new()
        } else {
            format!("; keys that exist there: {}", known.join(", "))
        };
        ConfigError::UnknownKey { place: Place::new(join(&self.key, key), origin), nearest: near, hint }
    }

    /// The word that was refused may be the tag of this map: `{name: sgdd, ...}`.
    fn variant_place(&self, found: &str) -> Box<Place> {
        match self.node.entries().iter().find(|e| e.node.as_str() == Some(found)) {
            Some(entry) => Place::new(join(&self.key, &entry.key), &entry.node.origin),
            None => self.place(),
        }
    }

    fn any<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            // Values outside both ranges are refused when a file or override is read.
            Value::Int(number) => match u64::try_from(*number) {
                Ok(unsigned) => visitor.visit_u64(unsigned),
                Err(_) => visitor.visit_i64(i64::try_from(*number).unwrap_or(i64::MIN)),
            },
            Value::Float(number) => visitor.visit_f64(*number),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => {
                let mut list = ListReader { reader: self, items: items.iter().enumerate() };
                let value = visitor.visit_seq(&mut list)?;
                match list.items.len() {
                    0 => Ok(value),
                    left => {
                        let reason = format!("has {} values, {left} too many", items.len());
                        Err(Problem::Other(reason).into())
                    }
                }
            }
            Value::Map(entries) => visitor.visit_map(MapReader { reader: self, entries: entries.iter(), next: None }),
        }
    }
}

macro_rules! as_it_is {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.any(visitor).map_err(|e| self.locate(e))
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    as_it_is! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_seq deserialize_map deserialize_identifier
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Int(number) => visitor.visit_f64(number as f64),
            _ => self.any(visitor),
        }
        .map_err(|e| self.locate(e))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.node.is_null() {
            return visitor.visit_none().map_err(|e| self.locate(e));
        }
        visitor.visit_some(self.clone()).map_err(|e| self.locate(e))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self.clone()).map_err(|e| self.locate(e))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if !matches!(self.node.value, Value::Map(_)) {
            return Err(self.locate(Problem::Type("a map of keys".into()).into()));
        }
        if let Some(entry) = self.node.entries().iter().find(|e| !fields.contains(&e.key.as_str())) {
            return Err(self.locate(Problem::UnknownKey(entry.key.clone(), fields.to_vec()).into()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let result = match &self.node.value {
            Value::String(text) => visitor.visit_enum(EnumReader { name: text, content: None }),
            Value::Map(entries) if entries.len() == 1 => {
                let content = Some(self.child(&entries[0].key, &entries[0].node));
                visitor.visit_enum(EnumReader { name: &entries[0].key, content })
            }
            _ => Err(Problem::Type(format!("one of {}", variants.join(", "))).into()),
        };
        result.map_err(|e| self.locate(e))
    }
}

struct ListReader<'a, 'de> {
    reader: &'a Reader<'de>,
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for ListReader<'_, 'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some((i, item)) = self.items.next() else { return Ok(None) };
        self.reader.child(&i.to_string(), item).read(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct MapReader<'a, 'de> {
    reader: &'a Reader<'de>,
    entries: std::slice::Iter<'de, Entry>,
    next: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for MapReader<'_, 'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.next = self.entries.next();
        let Some(entry) = self.next else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(&entry.key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.next.take() {
            Some(entry) => self.reader.child(&entry.key, &entry.node).read(seed),
            None => Err(Problem::Other("a value was read before its key".into()).into()),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A bare word, or a map of one key that names the variant.
struct EnumReader<'de> {
    name: &'de str,
    content: Option<Reader<'de>>,
}

impl<'de> EnumAccess<'de> for EnumReader<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let name = IntoDeserializer::<ReadError>::into_deserializer(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl EnumReader<'_> {
    fn needs(&self, what: &str) -> ReadError {
        Problem::Other(format!("'{}' needs {what}: write {{{}: ...}}", self.name, self.name)).into()
    }
}

impl<'de> VariantAccess<'de> for EnumReader<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match &self.content {
            Some(content) if !content.node.is_null() => {
                Err(Problem::Other(format!("'{}' takes no value; write the word alone", self.name)).into())
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        let missing = self.needs("a value");
        seed.deserialize(self.content.ok_or(missing)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ReadError> {
        let missing = self.needs("a list");
        self.content.ok_or(missing)?.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let missing = self.needs("keys");
        self.content.ok_or(missing)?.deserialize_struct("", fields, visitor)
    }
}
