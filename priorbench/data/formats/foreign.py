"""Files of another kind than was wanted, told by their first bytes."""

from __future__ import annotations

from pathlib import Path

from priorbench.errors import UserError

HEAD_BYTES = 512
"""bytes that tell what a file is: the mark of a tar archive is the 258th"""
TWOBIT_MAGIC = (b"\x43\x27\x41\x1a", b"\x1a\x41\x27\x43")
"""first bytes of a 2bit genome, in either order of bytes"""
_UNPACK = "unpack it"
_SAVE = "save it as plain text (UTF-8)"
_PACKED = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"BZh", "packed with bzip2", f"{_UNPACK}, or pack it with gzip"),
    (b"\xfd7zXZ\0", "packed with xz", f"{_UNPACK}, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", f"{_UNPACK}, or pack it with gzip"),
    (b"\x04\x22\x4d\x18", "packed with lz4", f"{_UNPACK}, or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (b"\xff\xfe", "UTF-16 text", _SAVE),
    (b"\xfe\xff", "UTF-16 text", _SAVE),
)
_BINARY = (
    (b"\x1f\x8b", "packed with gzip twice", "unpack it once"),
    *((magic, "a 2bit genome", "name it under the key genome") for magic in TWOBIT_MAGIC),
    (b"\x26\xfc\x8f\x88", "a bigWig file", "it belongs under plus, minus or signal"),
    (b"\x88\x8f\xfc\x26", "a bigWig file", "it belongs under plus, minus or signal"),
    (b"BAM\1", "a BAM file", "give sequences as FASTA"),
    (b"CRAM", "a CRAM file", "give sequences as FASTA"),
    (b"\x89HDF", "an HDF5 file", "write its sequences as FASTA"),
    (b"\x93NUMPY", "a NumPy array", "write its sequences as FASTA"),
    (b"%PDF", "a PDF", "give FASTA"),
)
_TEXT = (
    (b"@", "FASTQ or SAM (it begins with '@')", "give FASTA, whose records begin with '>name'"),
    (b"LOCUS ", "a GenBank file", "convert it to FASTA"),
    (b"ID   ", "an EMBL file", "convert it to FASTA"),
    (b"<", "a web page or XML", "fetch the file itself, as FASTA"),
    (b"{", "JSON", "give FASTA"),
)
_TAR_MARK, _TAR_PLACE = b"ustar", 257


def refuse_packed(head: bytes, path: Path) -> None:
    """Raise UserError if a file, by its first bytes, is an archive or text of another encoding."""
    for magic, kind, fix in _PACKED:
        if head.startswith(magic) and (magic != b"BZh" or head[4:10] == b"1AY&SY"):
            raise UserError(f"{path}: {kind}; {fix}")
    if head[_TAR_PLACE:].startswith(_TAR_MARK):
        raise UserError(f"{path}: a tar archive; unpack it and name the file inside")


def refuse_other_than_fasta(head: bytes, path: Path) -> None:
    """Raise UserError if a file, by its first bytes, is of a known kind that is not FASTA."""
    refuse_packed(head, path)
    for magic, kind, fix in (*_BINARY, *_TEXT):
        if head.startswith(magic):
            raise UserError(f"{path}: {kind}, not FASTA; {fix}")
    if b"\0" in head:
        raise UserError(f"{path}: not a text file; give FASTA, plain or compressed with gzip")
