"""What a database still lacks is named before a start, not found out by a failing query."""

from store.database import migrate, own_migrations, pending


async def test_pending_names_what_is_missing_until_it_is_applied(empty_database_url: str) -> None:
    names = [migration.name for migration in own_migrations()]
    assert await pending(empty_database_url) == names
    await migrate(empty_database_url, own_migrations()[:1])
    assert await pending(empty_database_url) == names[1:]
    await migrate(empty_database_url)
    assert await pending(empty_database_url) == []
