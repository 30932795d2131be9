"""LevelDB's files, byte for byte as LevelDB writes and reads them, so that each opens what the other has left.

Written from LevelDB's own descriptions of its formats, doc/log_format.md, doc/table_format.md and doc/impl.md.
"""
