//! Cuts HCL1 text into tokens. Quoted strings and heredocs come out decoded, comments not at all.

use std::iter::Peekable;
use std::str::Chars;

use super::SyntaxError;
use crate::auth::policy::document::Position;

/// One token.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Identifier(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Assign,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    End,
}

impl Token {
    /// How error messages call it.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Identifier(_) => "a name",
            Self::Text(_) => "a string",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Assign => "'='",
            Self::LeftBrace => "'{'",
            Self::RightBrace => "'}'",
            Self::LeftBracket => "'['",
            Self::RightBracket => "']'",
            Self::Comma => "','",
            Self::End => "the end of the text",
        }
    }
}

/// The rest of the text and where it begins.
pub(super) struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    position: Position,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            position: Position { line: 1, column: 1 },
        }
    }

    /// The next token and where it begins. After the end of the text, [`Token::End`] for ever.
    pub(super) fn next(&mut self) -> Result<(Token, Position), SyntaxError> {
        self.skip_blanks()?;
        let start = self.position;
        let Some(first) = self.take() else {
            return Ok((Token::End, start));
        };
        let token = match first {
            '=' => Token::Assign,
            '{' => Token::LeftBrace,
            '}' => Token::RightBrace,
            '[' => Token::LeftBracket,
            ']' => Token::RightBracket,
            ',' => Token::Comma,
            '"' => Token::Text(self.quoted(start)?),
            '<' => Token::Text(self.heredoc(start)?),
            '-' | '.' | '0'..='9' => self.number(first, start)?,
            letter if is_letter(letter) => self.word(letter),
            other => {
                return Err(SyntaxError::at(
                    start,
                    format!("illegal character {other:?}"),
                ));
            }
        };
        Ok((token, start))
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        if character == '\n' {
            self.position.line += 1;
            self.position.column = 1;
        } else {
            self.position.column += 1;
        }
        Some(character)
    }

    fn take_while(&mut self, into: &mut String, wanted: impl Fn(char) -> bool) {
        while let Some(character) = self.peek().filter(|&character| wanted(character)) {
            into.push(character);
            self.take();
        }
    }

    /// White space and the three kinds of comments.
    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        while let Some(character) = self.peek() {
            let start = self.position;
            match character {
                ' ' | '\t' | '\r' | '\n' => {
                    self.take();
                }
                '#' => self.skip_line(),
                '/' => {
                    self.take();
                    match self.take() {
                        Some('/') => self.skip_line(),
                        Some('*') => self.skip_block_comment(start)?,
                        _ => return Err(SyntaxError::at(start, "expected '/' for comment")),
                    }
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|character| character != '\n') {
            self.take();
        }
    }

    fn skip_block_comment(&mut self, start: Position) -> Result<(), SyntaxError> {
        let mut last = ' ';
        while let Some(character) = self.take() {
            if last == '*' && character == '/' {
                return Ok(());
            }
            last = character;
        }
        Err(SyntaxError::at(start, "comment not terminated"))
    }

    fn word(&mut self, first: char) -> Token {
        let mut word = String::from(first);
        self.take_while(&mut word, |character| {
            is_letter(character) || character.is_numeric() || matches!(character, '-' | '.')
        });
        match word.as_str() {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            _ => Token::Identifier(word),
        }
    }

    fn number(&mut self, first: char, start: Position) -> Result<Token, SyntaxError> {
        let mut text = String::from(first);
        loop {
            self.take_while(&mut text, |character| {
                character.is_ascii_alphanumeric() || character == '.'
            });
            // A sign belongs to the number only right after an exponent's letter.
            match self.peek() {
                Some(sign @ ('+' | '-'))
                    if text.ends_with(['e', 'E']) && !is_hexadecimal(&text) =>
                {
                    text.push(sign);
                    self.take();
                }
                _ => break,
            }
        }
        number(&text).ok_or_else(|| SyntaxError::at(start, format!("illegal number {text:?}")))
    }

    /// What follows an opening quote. Inside `${..}` everything is kept as it is, quotes too.
    fn quoted(&mut self, start: Position) -> Result<String, SyntaxError> {
        let mut text = String::new();
        let mut braces = 0usize;
        loop {
            let position = self.position;
            let character = self
                .take()
                .filter(|&character| character != '\n' || braces > 0)
                .ok_or_else(|| SyntaxError::at(start, "literal not terminated"))?;
            match character {
                '"' if braces == 0 => return Ok(text),
                '\\' if braces == 0 => text.push(self.escaped(position)?),
                '\0' => {
                    return Err(SyntaxError::at(
                        position,
                        "unexpected null character (0x00)",
                    ));
                }
                _ => {
                    let opens = match character {
                        '{' => braces > 0 || text.ends_with('$'),
                        _ => false,
                    };
                    if opens {
                        braces += 1;
                    } else if character == '}' {
                        braces = braces.saturating_sub(1);
                    }
                    text.push(character);
                }
            }
        }
    }

    /// What follows a backslash. Escapes that would make bytes that are not UTF-8 are refused.
    fn escaped(&mut self, start: Position) -> Result<char, SyntaxError> {
        let illegal = || SyntaxError::at(start, "illegal char escape");
        let code = match self.take().ok_or_else(illegal)? {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            same @ ('\\' | '"') => u32::from(same),
            'x' => self
                .digits(16, 2)
                .filter(|&code| code < 0x80)
                .ok_or_else(illegal)?,
            'u' => self.digits(16, 4).ok_or_else(illegal)?,
            'U' => self.digits(16, 8).ok_or_else(illegal)?,
            first @ '0'..='7' => {
                let high = first.to_digit(8).ok_or_else(illegal)?;
                let low = self.digits(8, 2).ok_or_else(illegal)?;
                Some(high * 64 + low)
                    .filter(|&code| code < 0x80)
                    .ok_or_else(illegal)?
            }
            _ => return Err(illegal()),
        };
        char::from_u32(code).ok_or_else(illegal)
    }

    fn digits(&mut self, radix: u32, count: usize) -> Option<u32> {
        let mut code = 0u32;
        for _ in 0..count {
            let digit = self.peek()?.to_digit(radix)?;
            self.take();
            code = code.checked_mul(radix)?.checked_add(digit)?;
        }
        Some(code)
    }

    /// What follows the first `<` of `<<EOF` or `<<-EOF`. The text keeps its last line break, as HCL1 has it.
    fn heredoc(&mut self, start: Position) -> Result<String, SyntaxError> {
        let wrong = |message| SyntaxError::at(start, message);
        if self.take() != Some('<') {
            return Err(wrong("heredoc expected second '<', didn't see it"));
        }
        let unindent = self.peek() == Some('-');
        if unindent {
            self.take();
        }
        let mut anchor = String::new();
        self.take_while(&mut anchor, |character| {
            is_letter(character) || character.is_numeric()
        });
        if anchor.is_empty() {
            return Err(wrong("zero-length heredoc anchor"));
        }
        if self.take() != Some('\n') {
            return Err(wrong("invalid characters in heredoc anchor"));
        }
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.take_while(&mut line, |character| character != '\n');
            if line.trim() == anchor {
                let indent = line
                    .split(|character: char| !character.is_whitespace())
                    .next();
                return Ok(joined(&lines, indent.filter(|_| unindent).unwrap_or("")));
            }
            lines.push(line);
            if self.take().is_none() {
                return Err(wrong("heredoc not terminated"));
            }
        }
    }
}

/// The lines without the closing anchor's indentation, if all of them have it.
fn joined(lines: &[String], indent: &str) -> String {
    let indent = if lines.iter().all(|line| line.starts_with(indent)) {
        indent
    } else {
        ""
    };
    lines
        .iter()
        .flat_map(|line| [line.strip_prefix(indent).unwrap_or(line), "\n"])
        .collect()
}

fn is_letter(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn is_hexadecimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with("0x") || digits.starts_with("0X")
}

/// Decimal, octal with a leading zero, hexadecimal, or a decimal fraction with or without exponent.
fn number(text: &str) -> Option<Token> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let integer = |digits: &str, radix| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if is_hexadecimal(digits) {
        let digits = digits.get(2..)?;
        return integer(digits, 16)
            .filter(|_| !digits.starts_with('+'))
            .map(Token::Integer);
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let radix = if digits.len() > 1 && digits.starts_with('0') {
            8
        } else {
            10
        };
        return integer(digits, radix).map(Token::Integer);
    }
    let plain = |character: char| {
        character.is_ascii_digit() || matches!(character, '.' | 'e' | 'E' | '+' | '-')
    };
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && text.chars().all(plain))
        .map(Token::Float)
}
