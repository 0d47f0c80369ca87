-- Runs after the migrations, on the local database only.

-- The server logs in as this role. A real project gets a long random password, by hand.
alter role coderhook login password 'coderhook';
