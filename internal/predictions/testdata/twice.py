"""Writes twice.parquet with pyarrow: two columns p, one P, and others with parts.

DuckDB writes no two columns of one name."""
import pyarrow as pa
import pyarrow.parquet as pq

columns = [
    ("parts", pa.array([{"y": 9, "p": {"deep": 1}}] * 4)),
    ("y", pa.array([0, 1, 0, 1])),
    ("p", pa.array([0.1, 0.2, 0.3, 0.4])),
    ("list", pa.array([[1, 2]] * 4)),
    ("p", pa.array([0.4, 0.3, 0.2, 0.1])),
    ("q", pa.array([0.4, 0.3, 0.2, 0.1])),
    ("Q", pa.array([0.1, 0.6, 0.2, 0.7])),
]
table = pa.Table.from_arrays([a for _, a in columns], names=[n for n, _ in columns])
pq.write_table(table, "twice.parquet", compression="none", use_dictionary=False, write_statistics=False, store_schema=False)
