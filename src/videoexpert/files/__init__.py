"""Files: written whole or not at all, read as text (gzip or not), digested.

write.py    a file or folder under its name only once it is complete and on the disk
read.py     text, JSON, JSON lines, YAML; digests; limits on size
logs.py     files that grow by whole lines
faults.py   all faults of a file in one message, the first in words
records.py  the files of a benchmark by name, rows of CSV, fields of records
"""

from .faults import Faults
from .logs import append_lines, whole_lines
from .read import (
    digest,
    json_fault,
    json_lines,
    json_records,
    lines,
    load_json,
    loads,
    parse_json,
    parse_yaml,
    read_text,
    unpacked,
)
from .records import (
    csv_rows,
    duration,
    existing,
    id_field,
    is_number,
    list_field,
    locate,
    number,
    pair,
    split_in_name,
    text_field,
)
from .write import (
    is_unfinished,
    make_folder,
    publish,
    whole_file,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
    writing,
)

__all__ = [
    "Faults",
    "append_lines",
    "csv_rows",
    "digest",
    "duration",
    "existing",
    "id_field",
    "is_number",
    "is_unfinished",
    "json_fault",
    "json_lines",
    "json_records",
    "lines",
    "list_field",
    "load_json",
    "loads",
    "locate",
    "make_folder",
    "number",
    "pair",
    "parse_json",
    "parse_yaml",
    "publish",
    "read_text",
    "split_in_name",
    "text_field",
    "unpacked",
    "whole_file",
    "whole_folder",
    "whole_lines",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
