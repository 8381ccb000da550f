//! The grammar of the encode axis.

use super::Encoding;

#[test]
fn an_encoding_reads_and_writes_itself() {
    for text in ["none", "zero,rle", "zero,xbzrle,cache=128,dedup,zstd,level=-3", "adaptive,level=9", "auto"]
    {
        assert_eq!(Encoding::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    for (text, words) in [
        ("", "'encode' names no part; there are: none, zero,"),
        ("gzip", "'encode' has no part 'gzip'; there are: none, zero,"),
        ("zero,level=1", "'zero' has no parameter 'level'; it has none"),
        ("zstd,level=10", "'level' of 'zstd' is '10'; it must be one of -5, -4,"),
        ("xbzrle,cache=0", "'cache' of 'xbzrle' is '0'; it must be a whole number from 1 to 4096"),
        ("none,zero", "'none' stands alone"),
        ("auto,zstd", "one of 'zstd' and 'auto'"),
    ] {
        let error = Encoding::parse(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}
