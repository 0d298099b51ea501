"""SQL text to syntax trees: lexer, plan-cache normalization, and PostgreSQL's grammar.

Read lexer.py (tokens), cursor.py (how every parser reads them), expressions.py (operator
precedence), query.py, then statement.py, the entry.
"""
