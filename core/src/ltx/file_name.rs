use alloc::format;
use alloc::string::String;

use crate::Txid;

/// The name of the file that holds these transactions: two TXIDs, as in
/// `0000000000000001-000000000000000a.ltx`.
pub fn file_name(min: Txid, max: Txid) -> String {
    format!("{min}-{max}.ltx")
}

/// The first and last transaction in the file with this name, or `None` if the name is not one of an LTX file. Upper
/// case digits, a zero or a range that ends before it begins make it another file.
pub fn parse_file_name(name: &str) -> Option<(Txid, Txid)> {
    let (min, max) = name.strip_suffix(".ltx")?.split_once('-')?;
    let parse =
        |text: &str| text.parse().ok().filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()));
    let range = (parse(min)?, parse(max)?);
    (Txid::ZERO < range.0 && range.0 <= range.1).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_parses_to_the_range_it_was_made_from() {
        let name = file_name(Txid::new(1), Txid::new(0xabc));
        assert_eq!(name, "0000000000000001-0000000000000abc.ltx");
        assert_eq!(parse_file_name(&name), Some((Txid::new(1), Txid::new(0xabc))));
    }

    #[test]
    fn other_names_are_not_of_ltx_files() {
        for name in [
            "",
            ".ltx",
            "-.ltx",
            "0000000000000001-0000000000000002",
            "0000000000000001-0000000000000002.ltx.tmp",
            "0000000000000001-000000000000000A.ltx",
            "0000000000000001_0000000000000002.ltx",
            "000000000000001-0000000000000002.ltx",
            "0000000000000001-0000000000000002-0000000000000003.ltx",
            "0000000000000000-0000000000000000.ltx",
            "0000000000000002-0000000000000001.ltx",
            "+000000000000001-0000000000000002.ltx",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
