-- Statements that once differed, and their neighbours. They run in this order on one connection.
create table t (a int primary key, b int, c text default 'dd', n numeric(8,2));
create table u (x int, y text);
insert into t values (1, 10, 'one', 1.5), (2, 20, 'two', 2.25), (3, null, null, null);
insert into u values (1, 'u1'), (2, 'u2'), (2, 'u22'), (null, 'unull');

-- subqueries in changes
insert into t (a, b) values ((select max(a) + 1 from t), (select count(*) from u)) returning *;
insert into t (a, b) values (10, 1) returning a, (select count(*) from u), (select y from u where x = t.a);
update t set b = (select count(*) from u where u.x = t.a) returning *;
update t set b = (select x from u where x = 2) where a = 1;
update t set b = 1 where a < 3 returning a, b, (select max(y) from u where u.x = t.a), (select sum(b) from t);
delete from t where a = 2 returning t.*, (select count(*) from t);
insert into t (a, b) values (1, 99) on conflict (a) do update set b = (select max(x) from u) + excluded.b returning *;
insert into t (a) values (1) on conflict (a) do update set b = (select count(*) from u where u.x = excluded.a) returning *;

-- queries without columns
select;
select from t;
select from t where a = 1;
create table nothing ();
insert into nothing default values;
select * from nothing;
select count(*) from nothing;
prepare without_columns as select from t;
execute without_columns;

-- what is and is not a row count or a parameter
select a from t limit a;
select a from t limit 'x';
select $1;
select 1 where 1 = $1;

-- operators and arrays
select |/ 25.0, ||/ 8, |/ 2;
select |/ -1.0;
select array[[1], [2, 3]];
select array[[1, 2], [3, 4]], array['{}'::int[], '{}'], array[array[1], array[2]];

-- ALTER COLUMN TYPE and what hangs on the column
create table k (a int, b int check (b > 0), d int default 5, constraint low check (a < b));
insert into k values (1, 2, 3);
alter table k alter b type text;
alter table k alter b type bigint;
insert into k values (5, 4);
alter table k alter d type bigint;
insert into k (a, b) values (1, 7) returning *;
alter table k rename a to aa;
insert into k values (9, 8);
create table kid (id int primary key, a int references t);
alter table kid alter a type text;
alter table kid alter a type bigint;
alter table t alter a type text;
drop table kid;
create table parent (id int primary key, a int unique, n int generated always as identity);
create table bound (id int primary key references parent, b int check (b < 100), up int references bound);
insert into parent values (1, 10), (2, 20), (3, 30);
insert into bound values (1, 1, null), (2, 2, 1), (3, 3, 2);
alter table bound alter b type bigint using b + 1000;
alter table bound alter b type bigint using b + 1000, drop constraint bound_b_check;
alter table bound add check (b > 5000) not valid, alter b type int;
alter table bound alter id type bigint using id + 1;
alter table bound alter up type bigint using up + 1000;
alter table bound alter up type bigint using 4 - up;
alter table parent alter id type bigint using id + 1000;
alter table parent alter id type bigint using nullif(id, 3);
alter table parent alter a type bigint using a + 1;
begin;
alter table parent alter n type bigint using null::bigint;
rollback;
begin;
alter table parent add column late int not null default nullif((random() * 0)::int, 0);
rollback;
alter table parent alter n type text;
alter table parent alter a type int, alter a type text;
select * from parent order by id;
select * from bound order by id;
select relnatts from pg_class where relname = 'bound';
create table twice (a int default 1 default 2);
create table both_nulls (a int null not null);

-- views do not grow with their tables
create table base (x int, y int);
insert into base values (1, 2);
create view v1 as select * from base;
create view v2 as select v1.*, 1 as one from v1;
create view v3 as select x.*, y.y as y2 from base x join base y using (x);
alter table base add column one int default 7;
select * from v1;
select * from v2;
select * from v3;
select one from v1;
create or replace view v1 as select x, y, 'new' as z from base;
select * from v1;
select * from v2;

-- deferred foreign keys
create table p (id int primary key);
create table c (id int primary key, pid int);
alter table c add constraint c_pid foreign key (pid) references p (id) deferrable initially deferred;
create table d (pid int constraint d_pid references p deferrable);
create table f (pid int constraint f_pid references p);
insert into c values (1, 5);
begin;
insert into c values (1, 5);
insert into p values (5);
commit;
select * from c;
begin;
insert into c values (2, 6);
commit;
select * from c;
begin;
delete from p;
insert into p values (5), (7);
commit;
begin;
delete from p where id = 5;
commit;
begin;
update p set id = 8 where id = 5;
update c set pid = 8;
commit;
select * from c;
begin;
savepoint s;
insert into c values (3, 99);
rollback to s;
insert into c values (4, 98);
update c set pid = 7 where id = 4;
insert into c values (5, 97);
delete from c where id = 5;
commit;
select * from c order by id;
begin;
insert into c values (6, 96);
set constraints c_pid immediate;
rollback;
begin;
set constraints all immediate;
insert into c values (6, 96);
rollback;
begin;
insert into d values (50);
rollback;
begin;
set constraints d_pid deferred;
insert into d values (50);
insert into p values (50);
set constraints d_pid immediate;
commit;
begin;
set constraints f_pid deferred;
rollback;
begin;
set constraints nosuch deferred;
rollback;
select conname, condeferrable, condeferred, pg_get_constraintdef(oid) from pg_constraint where conname in ('d_pid', 'f_pid') order by 1;

-- constraints that older rows need not meet: the statements of Django, Alembic and Rails
create table "app_order" ("id" integer primary key, "amount" integer, "client_id" integer, unique ("amount"));
create table "app_client" ("id" integer primary key);
insert into "app_client" values (1);
insert into "app_order" values (1, -5, 9), (2, 5, 1);
ALTER TABLE "app_order" ADD CONSTRAINT "amount_positive" CHECK ("amount" >= 0) NOT VALID;
ALTER TABLE app_order ADD CONSTRAINT fk_client FOREIGN KEY(client_id) REFERENCES app_client (id) NOT VALID;
ALTER TABLE "app_order" ADD CONSTRAINT "fk_rails_1" FOREIGN KEY ("client_id") REFERENCES "app_client" ("id") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID;
select conname, convalidated, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'app_order'::regclass order by 1;
insert into app_order values (3, -1, 1);
insert into app_order values (3, 1, 8);
update app_order set client_id = 7 where id = 2;
update app_order set client_id = 9 where id = 1;
update app_order set amount = -5 where id = 1;
ALTER TABLE "app_order" VALIDATE CONSTRAINT "amount_positive";
ALTER TABLE "app_order" VALIDATE CONSTRAINT "fk_rails_1";
ALTER TABLE "app_order" VALIDATE CONSTRAINT "nosuch";
ALTER TABLE "app_order" VALIDATE CONSTRAINT "app_order_pkey";
ALTER TABLE "app_order" VALIDATE CONSTRAINT "app_order_amount_key";
begin;
alter table app_order validate constraint fk_client;
rollback;
begin;
alter table app_order validate constraint amount_positive;
rollback;
select conname from pg_constraint where conrelid = 'app_order'::regclass and not convalidated order by 1;
delete from app_order where id = 1;
begin;
ALTER TABLE "app_order" VALIDATE CONSTRAINT "fk_rails_1";
commit;
ALTER TABLE "app_order" VALIDATE CONSTRAINT "amount_positive";
ALTER TABLE "app_order" VALIDATE CONSTRAINT "amount_positive";
ALTER TABLE app_order VALIDATE CONSTRAINT fk_client;
select conname, convalidated, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'app_order'::regclass order by 1;
begin;
alter table app_order add check (amount < 3) not valid, add constraint many check (amount > 1) not valid, validate constraint many;
select conname, convalidated from pg_constraint where conrelid = 'app_order'::regclass order by 1;
rollback;
alter table app_order add check (amount > 2) not valid, alter column amount set default 7;
alter table app_order drop constraint app_order_amount_check;
alter table app_order add constraint u unique (client_id) not valid;
alter table app_order add primary key (client_id) not valid;
alter table app_order add column late int check (late > 0) not valid;
create table app_new (a int, constraint positive check (a > 0) not valid, constraint c foreign key (a) references app_client not valid);
alter table app_new add constraint two check (a > 1) not valid;
select conname, convalidated from pg_constraint where conrelid = 'app_new'::regclass order by 1;
create table half (a int, b int, foreign key (a, b) references halves match full);
create table halves (a int, b int, primary key (a, b));
create table half (a int, b int);
insert into half values (null, null), (1, null);
begin;
alter table half add constraint h foreign key (a, b) references halves match full;
rollback;
alter table half add constraint h foreign key (a, b) references halves match full not valid;
alter table half validate constraint h;

create table g (a int references p not deferrable initially deferred);
create table g (a int references p initially deferred not deferrable);

-- numbers and casts in one statement: lifted literals
select -1.5 + 5::int, -2.5 * 2::int4 as x;
select -1.5 + 5::int;
select -1.5 || 'a'::text;
select -12345678901234567890.123456789 >= 'NaN'::numeric;
select -1.5 + 7::int;
select 2 + -1.5 - '3'::int;

-- comparisons that need the time zone
select timestamptz '2020-01-01' is distinct from date '2020-01-01', timestamp '2020-01-01' is not distinct from timestamptz '2020-01-01';
select x in (date '2020-01-01', date '2020-01-02'), x = any(array[date '2020-01-01']) from (values (timestamptz '2020-01-01')) v(x);
select nullif(timestamptz '2020-01-01', timestamp '2020-01-01');
select 'a'::text || array[1];
select array[1] || 'a'::text;
select null || array['a'], array['a'] || null;
select 'x' || array['a'];
select '{x}' || array['a'], array[1] || '{2,3}';

-- LIKE brings the indexes along; json_agg of arrays
create table src (a int primary key, b text, c int unique);
create unique index on src (b);
create index on src (c desc, b);
create table copied (like src including all);
insert into copied values (1, 'x', 1);
insert into copied values (2, 'x', 2);
select indexname, indexdef from pg_indexes where tablename = 'copied' order by 1;
select json_agg(x) from (values (array[1]), (array[2, 3])) v(x);

-- what is NULL anyway is not computed
create table big (i int, n numeric);
insert into big values (2000000000, 5), (null, null);
select i * i + null, i * i > null from big order by 1;
select count(*) from big where i * i * n > null;
select n / 0 || null::text, coalesce(i + null, 7) from big order by 2;
select i + null as x, count(*) from big group by i + null order by i + null;
select distinct i + null from big;
select 1 / 0 + null;
create table bad (a int check (a));
create table zero (a numeric, f float8);
insert into zero values (-0.0, -0.0), ('-0.0', '-0.0');
select a, f, a::float8, f * -1 from zero order by 2;
select num_nulls(1, null, 'x'), num_nonnulls(1, null, 'x'), num_nulls(null);
select age(x, timestamp '2000-01-01') from (values (timestamp '-infinity')) v(x);
