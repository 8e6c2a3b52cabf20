//! The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1).

use std::borrow::Cow;
use std::fmt;

use crate::handshake::is_token;

/// One extension negotiation offer: an extension's name and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// The extension's token.
    pub name: &'a str,
    /// Its parameters, in their order; a name may come twice.
    pub parameters: Vec<Parameter<'a>>,
}

/// A parameter of an [`Offer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The parameter's token.
    pub name: &'a str,
    /// Its value, if it has one; that of a quoted string is without quotes and escapes.
    pub value: Option<Cow<'a, str>>,
}

/// Parses one Sec-WebSocket-Extensions header field: its offers, the preferred one first.
///
/// Several such header fields are one list in their order (§9.1). Empty members are skipped. More
/// is accepted than §9.1 allows in one place: a quoted string may hold what is not a token, which
/// is for the extension in question to judge.
pub fn parse_offers(value: &str) -> Result<Vec<Offer<'_>>, InvalidExtensions> {
    let mut reader = Reader { rest: value };
    let mut offers = Vec::new();
    loop {
        reader.skip_white_space();
        if reader.rest.is_empty() {
            return Ok(offers);
        }
        // RFC 9110 §5.6.1.2: a recipient must ignore a reasonable number of empty members.
        if reader.take(',') {
            continue;
        }
        offers.push(reader.offer()?);
        if !reader.rest.is_empty() && !reader.take(',') {
            return Err(InvalidExtensions);
        }
    }
}

/// A Sec-WebSocket-Extensions that does not conform to its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidExtensions;

impl fmt::Display for InvalidExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sec-WebSocket-Extensions is malformed")
    }
}

impl std::error::Error for InvalidExtensions {}

/// What is still to be read of a header field.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// An offer, and the white space after it.
    fn offer(&mut self) -> Result<Offer<'a>, InvalidExtensions> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.take(';') {
            let name = self.token()?;
            let value = match self.take('=') {
                true => Some(self.value()?),
                false => None,
            };
            parameters.push(Parameter { name, value });
        }
        Ok(Offer { name, parameters })
    }

    fn value(&mut self) -> Result<Cow<'a, str>, InvalidExtensions> {
        self.skip_white_space();
        match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                let text = self.quoted_text()?;
                self.skip_white_space();
                Ok(text)
            }
            None => self.token().map(Cow::Borrowed),
        }
    }

    /// A token, and the white space around it.
    fn token(&mut self) -> Result<&'a str, InvalidExtensions> {
        self.skip_white_space();
        let end = self.rest.find([',', ';', '=', '"', ' ', '\t']);
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if !is_token(token) {
            return Err(InvalidExtensions);
        }
        self.rest = rest;
        self.skip_white_space();
        Ok(token)
    }

    /// The rest of a quoted string, behind its first quote (RFC 9110 §5.6.4).
    fn quoted_text(&mut self) -> Result<Cow<'a, str>, InvalidExtensions> {
        let text = self.rest;
        let mut unescaped: Option<String> = None;
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &text[at + 1..];
                    return Ok(unescaped.map_or(Cow::Borrowed(&text[..at]), Cow::Owned));
                }
                '\\' => {
                    let so_far = unescaped.get_or_insert_with(|| text[..at].to_owned());
                    let escaped = characters.next().map(|(_, character)| character);
                    so_far.push(escaped.filter(may_be_quoted).ok_or(InvalidExtensions)?);
                }
                _ if may_be_quoted(&character) => {
                    if let Some(so_far) = &mut unescaped {
                        so_far.push(character);
                    }
                }
                _ => return Err(InvalidExtensions),
            }
        }
        Err(InvalidExtensions)
    }

    /// Takes this character if it is next.
    fn take(&mut self, character: char) -> bool {
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// RFC 9110 §5.6.3: optional white space is spaces and tabs.
    fn skip_white_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

/// RFC 9110 §5.6.4: anything but control characters.
fn may_be_quoted(character: &char) -> bool {
    *character == '\t' || !character.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'a> = Vec<(&'a str, Vec<(&'a str, Option<String>)>)>;

    fn parse(value: &str) -> Result<Read<'_>, InvalidExtensions> {
        let offers = parse_offers(value)?.into_iter().map(|offer| {
            let parameters = offer.parameters.into_iter();
            let parameters = parameters.map(|p| (p.name, p.value.map(Cow::into_owned)));
            (offer.name, parameters.collect())
        });
        Ok(offers.collect())
    }

    fn value(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_examples_of_section_9_1_parse() {
        assert_eq!(parse("foo"), Ok(vec![("foo", vec![])]));
        assert_eq!(
            parse("foo, bar; baz=2"),
            Ok(vec![("foo", vec![]), ("bar", vec![("baz", value("2"))])])
        );
        assert_eq!(
            parse("bar; baz=2"),
            Ok(vec![("bar", vec![("baz", value("2"))])])
        );
        assert_eq!(
            parse("deflate-stream, mux; max-channels=4; flow-control"),
            Ok(vec![
                ("deflate-stream", vec![]),
                (
                    "mux",
                    vec![("max-channels", value("4")), ("flow-control", None)]
                ),
            ])
        );
    }

    #[test]
    fn white_space_and_empty_members_make_no_difference() {
        let expected = parse("a;b=1;c,d").unwrap();
        for text in [
            "a; b=1; c, d",
            " a ; b = 1 ; c , d ",
            "\ta\t;\tb\t=\t1\t;\tc\t,\td\t",
            ",, a;b=1;c, ,d,",
            "a;b=\"1\";c,d",
            "a;b = \"1\" ;c,d",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text:?}");
        }
        for text in ["", " ", ",", "\t, ,"] {
            assert_eq!(parse(text), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn quoted_strings_lose_their_quotes_and_escapes() {
        for (text, expected) in [
            (r#"a;b="""#, ""),
            (r#"a;b="10""#, "10"),
            (r#"a;b="\1\0""#, "10"),
            (r#"a;b="x\"y\\z""#, r#"x"y\z"#),
            (r#"a;b="1, c; d=2""#, "1, c; d=2"),
            ("a;b=\"\t é\"", "\t é"),
            (r#"a;b="x\é""#, "xé"),
        ] {
            let expected = vec![("a", vec![("b", value(expected))])];
            assert_eq!(parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_extensions_is_refused() {
        for text in [
            ";",
            "=",
            "a;",
            "a;;b",
            "a;b=",
            "a;=1",
            "a b",
            "a;b c",
            "a;b=1 2",
            "a=1",
            "\"a\"",
            "a/b",
            "é",
            "a;b=\"",
            "a;b=\"1",
            "a;b=\"1\\",
            "a;b=\"1\\\"",
            "a;b=\"1\"2",
            "a;b=\"\u{7}\"",
            "a;b=\"\\\u{7}\"",
            "a;b=1\"2\"",
            "a\u{1}",
            "a, b; c d",
        ] {
            assert_eq!(parse(text), Err(InvalidExtensions), "{text:?}");
        }
    }
}
