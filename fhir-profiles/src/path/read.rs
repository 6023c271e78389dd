//! From text to a tree, by the precedence of the operators. What is not understood is told here,
//! once, and never while a resource is checked.

use regex::{Regex, RegexBuilder};

use super::{
    function::Function,
    lex::{Token, words},
};

/// How deep a tree may be: computing it descends as deep.
const MAX_DEPTH: usize = 200;

#[derive(Debug)]
pub(super) enum Expr {
    Empty,
    True,
    False,
    Text(String),
    Number(String),
    Time(String),
    /// The regular expression of a function that takes one.
    Pattern(Regex),
    Variable(String),
    This,
    Index,
    /// A child of what is at hand, or its own type.
    Name(String),
    Child(Box<Expr>, String),
    Call(Option<Box<Expr>>, Function, Vec<Expr>),
    /// `is`, `as`, `ofType`
    Typed(Option<Box<Expr>>, Cast, String),
    At(Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Both(Op, Box<Expr>, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    Is,
    As,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    Unequal,
    Like,
    Unlike,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Add,
    Subtract,
    Concatenate,
    Multiply,
    Divide,
    Div,
    Mod,
}

pub(super) fn read(text: &str) -> Result<Expr, String> {
    let mut reader = Reader { words: words(text)?, at: 0, depth: 0 };
    let expression = reader.expression(0)?;
    match reader.peek() {
        Token::End => Ok(expression),
        _ => Err("something follows the end of the expression".to_owned()),
    }
}

struct Reader {
    words: Vec<Token>,
    at: usize,
    depth: usize,
}

/// A compiled pattern may take so many bytes.
const MAX_PATTERN: usize = 4 << 20;

/// Patterns match in time linear in the text, whatever they look like.
fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(MAX_PATTERN).dot_matches_new_line(true).build();
    built.map_err(|_| "a regular expression that is not understood".to_owned())
}

/// Sign or keyword, its strength, and the operation; `None` for the two that name a type.
const OPERATORS: [(&str, u8, Option<Op>); 24] = [
    ("implies", 1, Some(Op::Implies)),
    ("or", 2, Some(Op::Or)),
    ("xor", 2, Some(Op::Xor)),
    ("and", 3, Some(Op::And)),
    ("in", 4, Some(Op::In)),
    ("contains", 4, Some(Op::Contains)),
    ("=", 5, Some(Op::Equal)),
    ("!=", 5, Some(Op::Unequal)),
    ("~", 5, Some(Op::Like)),
    ("!~", 5, Some(Op::Unlike)),
    ("<", 6, Some(Op::Less)),
    ("<=", 6, Some(Op::LessOrEqual)),
    (">", 6, Some(Op::Greater)),
    (">=", 6, Some(Op::GreaterOrEqual)),
    ("|", 7, Some(Op::Union)),
    ("is", 8, None),
    ("as", 8, None),
    ("+", 9, Some(Op::Add)),
    ("-", 9, Some(Op::Subtract)),
    ("&", 9, Some(Op::Concatenate)),
    ("*", 10, Some(Op::Multiply)),
    ("/", 10, Some(Op::Divide)),
    ("div", 10, Some(Op::Div)),
    ("mod", 10, Some(Op::Mod)),
];

impl Reader {
    fn peek(&self) -> &Token {
        self.words.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("'{sign}' is missing")) }
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err("nested too deeply".to_owned()) } else { Ok(()) }
    }

    fn expression(&mut self, strength: u8) -> Result<Expr, String> {
        let outer = self.depth;
        self.deeper()?;
        let mut left = self.unary()?;
        loop {
            let word = match self.peek() {
                Token::Sign(sign) => *sign,
                Token::Name(name) => name.as_str(),
                _ => break,
            };
            let Some((word, own, op)) = OPERATORS.iter().find(|(w, ..)| *w == word).copied() else { break };
            if own <= strength {
                break;
            }
            self.at += 1;
            // A row of operators leans to the left: each makes the tree one deeper.
            self.deeper()?;
            left = if let Some(op) = op {
                Expr::Both(op, Box::new(left), Box::new(self.expression(own)?))
            } else {
                let cast = if word == "is" { Cast::Is } else { Cast::As };
                Expr::Typed(Some(Box::new(left)), cast, self.type_name()?)
            };
        }
        self.depth = outer;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        if self.take("-") {
            self.deeper()?;
            return Ok(Expr::Negative(Box::new(self.unary()?)));
        }
        if self.take("+") {
            self.deeper()?;
            return self.unary();
        }
        let mut left = self.term()?;
        loop {
            if self.take(".") {
                self.deeper()?;
                left = match self.next() {
                    Token::Name(name) if self.is_sign("(") => self.call(Some(left), &name)?,
                    Token::Name(name) | Token::Quoted(name) => Expr::Child(Box::new(left), name),
                    _ => return Err("a name is missing after '.'".to_owned()),
                };
            } else if self.take("[") {
                self.deeper()?;
                let index = self.expression(0)?;
                self.expect("]")?;
                left = Expr::At(Box::new(left), Box::new(index));
            } else {
                return Ok(left);
            }
        }
    }

    fn term(&mut self) -> Result<Expr, String> {
        Ok(match self.next() {
            Token::Text(text) => Expr::Text(text),
            Token::Number(number) => Expr::Number(number),
            Token::Time(time) => Expr::Time(time),
            Token::Variable(name) => Expr::Variable(name),
            Token::Special(name) if name == "this" => Expr::This,
            Token::Special(name) if name == "index" => Expr::Index,
            Token::Quoted(name) => Expr::Name(name),
            Token::Name(name) if self.is_sign("(") => self.call(None, &name)?,
            Token::Name(name) if name == "true" => Expr::True,
            Token::Name(name) if name == "false" => Expr::False,
            Token::Name(name) => Expr::Name(name),
            Token::Sign("(") => {
                let inside = self.expression(0)?;
                self.expect(")")?;
                inside
            }
            Token::Sign("{") => {
                self.expect("}")?;
                Expr::Empty
            }
            _ => return Err("a value is missing".to_owned()),
        })
    }

    fn call(&mut self, of: Option<Expr>, name: &str) -> Result<Expr, String> {
        self.expect("(")?;
        let of = of.map(Box::new);
        let cast = match name {
            "is" => Some(Cast::Is),
            "as" | "ofType" => Some(Cast::As),
            _ => None,
        };
        if let Some(cast) = cast {
            let typed = Expr::Typed(of, cast, self.type_name()?);
            self.expect(")")?;
            return Ok(typed);
        }
        let mut given = Vec::new();
        while !self.is_sign(")") {
            given.push(self.expression(0)?);
            if !self.take(",") {
                break;
            }
        }
        self.expect(")")?;
        let function = Function::of(name, given.len())
            .ok_or_else(|| format!("the function {name} with {} arguments is not known", given.len()))?;
        if let (Function::Matches | Function::ReplaceMatches, Some(first)) = (function, given.first_mut())
            && let Expr::Text(text) = &first
        {
            *first = Expr::Pattern(pattern(text)?);
        }
        Ok(Expr::Call(of, function, given))
    }

    /// `Quantity`, `FHIR.Quantity`, `System.String`, `(Quantity)`.
    fn type_name(&mut self) -> Result<String, String> {
        if self.take("(") {
            self.deeper()?;
            let name = self.type_name()?;
            self.expect(")")?;
            return Ok(name);
        }
        let mut name = self.name()?;
        while self.take(".") {
            name = self.name()?;
        }
        Ok(name)
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next() {
            Token::Name(name) | Token::Quoted(name) => Ok(name),
            _ => Err("the name of a type is missing".to_owned()),
        }
    }
}
