use std::fmt;

/// The members of a strict list of tokens, `#token` (RFC 9110 §5.6.1): empty members are skipped,
/// and a member that is not a token is an error, after which nothing follows.
#[derive(Clone, Debug)]
pub struct TokenList<'a> {
    rest: Option<&'a str>,
}

impl<'a> TokenList<'a> {
    /// The members of the value of a header field.
    pub fn new(value: &'a str) -> TokenList<'a> {
        TokenList { rest: Some(value) }
    }
}

impl<'a> Iterator for TokenList<'a> {
    type Item = Result<&'a str, InvalidList>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let value = self.rest?;
            let (member, rest) = match value.split_once(',') {
                Some((member, rest)) => (member, Some(rest)),
                None => (value, None),
            };
            self.rest = rest;
            let member = trim_ows(member);
            // RFC 9110 §5.6.1.2: a recipient must ignore a reasonable number of empty members.
            if member.is_empty() {
                continue;
            }
            // RFC 9110 §5.6.2.
            if let Some(character) = member.chars().find(|&c| !is_token_character(c)) {
                self.rest = None;
                return Some(Err(InvalidList { character }));
            }
            return Some(Ok(member));
        }
    }
}

/// Whether `name` is a member of the list, in any letter case. Tolerant: other members may be
/// anything, such as the `protocol/version` of an Upgrade (RFC 9110 §7.8).
pub fn contains_token(list: &str, name: &str) -> bool {
    list.split(',')
        .any(|member| trim_ows(member).eq_ignore_ascii_case(name))
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_character)
}

/// A list with a character that stands in no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidList {
    /// The first such character.
    pub character: char,
}

impl fmt::Display for InvalidList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the character {:?} in a list of tokens", self.character)
    }
}

impl std::error::Error for InvalidList {}

/// RFC 9110 §5.6.2: `tchar`.
fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// RFC 9110 §5.6.3: optional white space is spaces and tabs.
fn trim_ows(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Vec<&str>, InvalidList> {
        TokenList::new(value).collect()
    }

    #[test]
    fn members_come_in_their_order_without_white_space_and_empty_ones() {
        for (value, expected) in [
            ("", &[][..]),
            (" ,\t,, ", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            (", ,\ta , b,\t", &["a", "b"]),
            ("a, a", &["a", "a"]),
            ("!#$%&'*+-.^_`|~", &["!#$%&'*+-.^_`|~"]),
        ] {
            assert_eq!(parse(value).unwrap(), expected, "{value:?}");
        }
    }

    #[test]
    fn a_member_that_is_no_token_is_an_error_with_its_character() {
        for (value, character) in [
            ("a b", ' '),
            ("a\tb", '\t'),
            ("\"a\"", '"'),
            ("a/b", '/'),
            ("a\\b", '\\'),
            ("a, b{}", '{'),
            ("a; b", ';'),
            ("a\u{5}b", '\u{5}'),
            ("a\u{7f}", '\u{7f}'),
            ("é", 'é'),
            ("a\u{a0}", '\u{a0}'),
        ] {
            assert_eq!(parse(value), Err(InvalidList { character }), "{value:?}");
        }
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut list = TokenList::new("a b, c");
        assert!(list.next().unwrap().is_err());
        assert_eq!(list.next(), None);
    }

    #[test]
    fn every_ascii_separator_and_control_is_no_token() {
        for byte in 0..=127u8 {
            let text = char::from(byte).to_string();
            let is_separator = "()<>@,;:\\\"/[]?={} \t".contains(&text);
            let expected = !byte.is_ascii_control() && !is_separator;
            assert_eq!(is_token(&text), expected, "{text:?}");
        }
        assert!(!is_token(""));
    }

    #[test]
    fn a_token_is_found_in_any_case_among_odd_members() {
        for list in [
            "upgrade",
            "UPGRADE",
            "keep-alive, Upgrade",
            "close, Upgrade,",
            ",,\tupgrade\t,",
            "odd member, \"quoted\", upgrade",
        ] {
            assert!(contains_token(list, "upgrade"), "{list:?}");
        }
    }

    #[test]
    fn a_token_is_not_found_inside_another() {
        for list in [
            "",
            ",",
            "upgraded",
            "up grade",
            "upgrade x",
            "x-upgrade",
            "\"upgrade\"",
        ] {
            assert!(!contains_token(list, "upgrade"), "{list:?}");
        }
        assert!(contains_token("h2c, websocket", "websocket"));
        assert!(contains_token("HTTP/2.0, WebSocket", "websocket"));
        assert!(!contains_token("websocket/13", "websocket"));
    }
}
