-- Everything happens in one transaction that is rolled back: the database is as before.
begin;
create table orders (id int primary key, amount numeric not null check (amount > 0));
insert into orders select n, n * 1.5 from generate_series(1, 1000) n;
do $$
begin
	assert (select sum(amount) from orders) = 750750, 'the sum of the orders is wrong';
	begin
		insert into orders values (1001, 0);
		assert false, 'an order of nothing was taken';
	exception when check_violation then null;
	end;
end $$;
rollback;
\echo integration tests passed
