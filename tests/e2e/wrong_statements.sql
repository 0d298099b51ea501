-- One wrong statement per line; what is wrong with it, PostgreSQL says.
selec 1
select
select 'open
select (1
select 1 +
select * from nowhere
select nothing
select e.nothing from every e
select x.id from every e
select nofunction(1)
select 1 + 'a'
select 1 + true
select 'a'::int
select '2024-02-30'::date
select 'x'::date
select 'x'::uuid
select '{'::json
select 1 / 0
select 1.0 / 0
select 1 % 0
select 2147483647 + 1
select 9223372036854775807 + 1
select 40000::int2
select 1e400::float8
select 123456::numeric(5,2)
select sqrt(-1)
select ln(0)
select '\xzz'::bytea
select repeat('x', 2000000000)
select (select 1 union all select 2)
select (select 1, 2)
select 1 union select 'a'
select 1 union select 1, 2
select 1 union select true
select count(*) from every where count(*) > 1
select c0, count(*) from every
select sum(count(*)) from every
select rank() over () from every group by c1 having rank() over () > 1
select 1 limit -1
select 1 offset -1
select 1 order by 2
select a from (values (1), (2, 3)) v(a)
select id from every a, every b
select * from every a, every a
select 1 where 1
select case when 1 then 2 end
select $1
insert into every values (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22)
insert into every (id, id) values (1, 2)
insert into every (nothing) values (1)
insert into every (id) values (null)
insert into every (id, c9) values (98766, 'toolong')
update every set nothing = 1
update every set id = 1, id = 2
delete from every where nothing
create table every (a int)
create table t1 (a int, a int)
create table t1 (a nosuchtype)
create table t1 (a int primary key, b int primary key)
create table t1 (a int references nowhere)
create table t1 (a int check (b > 1))
create index on nowhere (a)
create index on every (nothing)
create view every as select 1
drop table nowhere
drop view every
drop sequence nowhere
alter table every add column id int
alter table every drop column nothing
alter table every rename column id to c1
truncate nowhere
copy nowhere from stdin
copy every (nothing) from stdin
set timezone = 'nowhere'
set nosuch = 1
show nosuch
savepoint s
execute nothing
deallocate nothing
close nothing
fetch 1 from nothing
select nextval('nowhere')
select currval('every')
select 1 for update nowait skip locked
select 'ab' like 'a\'
select 'a' ~ '['
select to_char(1)
select array[1, 'a']
select interval '1 fortnight'
select timestamp '2024-01-01' + 1
select extract(fortnight from now())
select date_trunc('nothing', now())
select a from every group by b
insert into every (id) values (1), (2, 3)
select * from every where c0 = 1
select * from every where c1 = 'x'
update every set c1 = 'x'
update every set c9 = 'toolong'
alter table every alter column c1 type nosuch
alter table nowhere add column a int
create unique index on every (id, nothing)
drop index nowhere
drop index every
select abs()
select substring('a' from 1 for -1)
select 'a'::varchar(0)
select lpad('a', 2000000000)
select chr(0)
select chr(-1)
select 'abc'::bit(3)
select generate_series(1, 10, 0)
select width_bucket(1, 2, 2, 1)
select width_bucket(1, 1, 2, 0)
select power(0, -1)
select power(-1, 0.5)
select 1 in (select 1, 2)
select exists (select nothing)
with w as (select 1) select * from v
with recursive r as (select 1 union all select 'a' from r) select * from r
with recursive r(n) as (select n from r) select * from r
select * from generate_series(1, 'a')
select lag(1) over (rows between 1 following and current row)
select row_number() from every
select sum(id) over w from every
select count(distinct id) over () from every
select string_agg(1) from every
select max(c0) from every
select percentile_cont(2) within group (order by 1.0)
select '1'::int::date
select now()::int
select '25:00'::time
select '2024-13-01'::timestamp
select timestamptz '2024-01-01 nowhere'
select now() at time zone 'nowhere'
select make_date(2024, 13, 1)
select to_timestamp('x', 'YYYY')
select to_number('x', '999')
select decode('zz', 'hex')
select decode('a', 'nothing')
select encode('a', 'nothing')
select '[1'::jsonb
select '{"a":1}'::jsonb -> 'a' -> 1 ->> nothing
select jsonb '1' ->
select '{1,2'::int[]
select '{{1},{1,2}}'::int[]
select array[[1],[1,2]]
select (array[1])[nothing]
set search_path to
begin; begin; selec
values (1), (1, 2)
table nowhere
explain select nothing
explain (nothing) select 1
prepare p (nosuch) as select 1
declare c cursor for select nothing
alter sequence nowhere restart
alter table every drop constraint nowhere
alter table every add constraint c check (nothing)
alter table every add constraint u unique (nothing)
alter table every add foreign key (id) references nowhere
comment on table nowhere is 'x'
drop schema nowhere
drop schema public, nowhere
create schema public
create schema pg_mine
create table pg_catalog.x (a int)
create table nowhere.x (a int)
create sequence every
create sequence sq increment 0
create sequence sq minvalue 5 maxvalue 4
drop user nobody
create user postgres
grant select on nowhere to public
grant select on every to nobody
set role nobody
set transaction isolation level nothing
rollback to nothing
release nothing
commit prepared
select 'a' collate nothing
select u&'\zzzz'
select e'\u0000'
select e'\xff'
select 0x
select 1a
select 1.e
select ""
select ''''''''' 
select /* open
select $a$ open
select :x
select ?
select @
select 1 @@@ 2
select !1
select * from every for update of nothing
insert into every default values
insert into every (id) select 1, 2
insert into every (id) values (1) on conflict (nothing) do nothing
insert into every (id) values (1) on conflict (c1) do nothing
insert into every (id) values (1) on conflict do update set id = 1
update every set (id, c1) = (1)
update every e set e.id = 1
delete from every returning nothing
copy every to stdout (format nothing)
copy every from stdin (delimiter 'xx')
copy every from stdin (nothing true)
copy (delete from every) to stdout
copy every from '/etc/passwd' (format nothing)
