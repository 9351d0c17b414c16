"""Writes numbered rows to a database, one transaction each, and prints the number once it is committed.

Arguments: database, synchronous, first number, number of transactions or 0 for no end.
Each row says what it must contain, so that a reader needs to know nothing but the number.
"""
import sqlite3
import sys

path, synchronous, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
connection = sqlite3.connect(path, timeout=20, isolation_level=None)
connection.execute(f"PRAGMA synchronous={synchronous}")
connection.execute("PRAGMA wal_autocheckpoint=50")
number = first
try:
    while count == 0 or number < first + count:
        connection.execute("BEGIN IMMEDIATE")
        text = f"{number}:" * (20 + number * 7919 % 600)
        connection.execute("INSERT INTO written VALUES (?, ?)", (number, text))
        # Old pages change too, sometimes many of them.
        if number % 17 == 0:
            connection.execute("UPDATE total SET sum = sum + ?, touched = randomblob(3000)", (number,))
        else:
            connection.execute("UPDATE total SET sum = sum + ?", (number,))
        connection.execute("COMMIT")
        print(number, flush=True)
        number += 1
except sqlite3.Error as error:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    print(f"error {name} {error}", flush=True)
    sys.exit(1)
