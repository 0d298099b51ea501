"""SQL text to syntax tree: lexer pass, fingerprints, sqlglot."""
