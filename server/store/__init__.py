"""PostgreSQL behind the server: the only package that imports asyncpg."""
