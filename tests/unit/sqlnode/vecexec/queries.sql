-- Analytical queries over the flights tables, one a line.
-- Those without a final ORDER BY are compared as sets of rows.

-- joins
select a.name, count(*) as n, avg(f.dep_delay) as delay from flights f join airlines a on a.carrier = f.carrier group by a.name order by n desc, a.name
select f.flight, p.model from flights f left join planes p on p.tailnum = f.tailnum where f.month = 1 and f.day = 1 order by f.flight, f.dep_time, p.model limit 20
select count(*) from flights f left join planes p using (tailnum) where p.tailnum is null
select count(*) from planes p where not exists (select 1 from flights f where f.tailnum = p.tailnum)
select p.manufacturer, count(distinct f.tailnum) from flights f inner join planes p on p.tailnum = f.tailnum and p.year > 2000 group by 1 having count(*) > 5 order by 2 desc, 1
select o.name, d.name, count(*) from flights f join airports o on o.faa = f.origin join airports d on d.faa = f.dest group by o.name, d.name order by 3 desc, 1, 2 limit 10
select a.carrier, x.n from airlines a left join lateral (select count(*) as n from flights f where f.carrier = a.carrier and f.dep_delay > 60) x on true order by a.carrier
select a.faa, b.faa from airports a full join airports b on a.faa = b.tzone where a.faa like 'A%' order by 1, 2 limit 5
select count(*) from airlines a cross join airlines b where a.carrier < b.carrier
select x.origin, x.dest, x.distance from airlines a, lateral (select f.origin, f.dest, f.distance from flights f where f.carrier = a.carrier order by f.distance desc, f.dest, f.origin limit 1) x order by 3 desc, 1, 2

-- groups
select origin, month, count(*), sum(distance), avg(distance), min(dep_delay), max(arr_delay) from flights group by origin, month order by origin, month
select carrier, round(avg(dep_delay), 2) as d from flights where dep_delay is not null group by carrier order by d desc, carrier
select origin, 100.0 * sum(case when arr_delay > 15 then 1 else 0 end) / count(*) as pct from flights group by origin order by origin
select origin, month, count(*) from flights group by rollup (origin, month) order by origin nulls last, month nulls last
select origin, carrier, grouping(origin, carrier), sum(air_time) from flights where month < 3 group by cube (origin, carrier) order by 1, 2, 3
select month, origin, count(*) from flights group by grouping sets ((month), (origin), ()) order by 1, 2
select carrier, stddev(dep_delay), variance(dep_delay), stddev_pop(distance), var_pop(air_time) from flights group by carrier order by carrier
select count(*), count(dep_delay), count(distinct dest), sum(dep_delay), avg(air_time), sum(air_time) from flights
select count(*) filter (where dep_delay > 0) as late, count(*) filter (where dep_delay <= 0) as early, sum(distance) filter (where origin = 'JFK') from flights
select percentile_cont(0.5) within group (order by distance), percentile_disc(0.9) within group (order by dep_delay), mode() within group (order by carrier) from flights
select origin, string_agg(distinct carrier, ',' order by carrier) from flights group by origin order by origin
select origin, array_agg(distinct month order by month desc) from flights where day = 5 group by origin order by origin
select tzone, bool_and(alt > 0), bool_or(alt > 5000), every(tz < 0) from airports group by tzone order by tzone
select dest, sum(distance) as total from flights group by dest having sum(distance) > 100000 order by total desc, dest
select hour / 6 as quarter, count(*) from flights group by hour / 6 order by quarter
select corr(dep_delay, arr_delay), covar_samp(dep_delay, arr_delay), regr_slope(arr_delay, dep_delay) from flights
select sum(price), avg(price), min(price), max(price), sum(tax), avg(tax), max(tax), sum(mixed), avg(mixed) from fares
select stddev(price), variance(tax), stddev_pop(mixed), sum(big), avg(big), stddev(small) from fares
select code, sum(price * 1.19), avg(price / 3), sum(mixed + 1) from fares group by code order by code
select mixed, count(*) from fares group by mixed order by mixed, 2
select count(distinct mixed), count(distinct tax), sum(distinct small), count(distinct price) from fares
select ok, sum(price) filter (where ok is not null), count(*) from fares group by ok order by ok nulls first
select avg(ratio), sum(ratio), min(ratio), max(ratio) from fares where ratio > 0
select sum(wait), avg(wait), min(wait), max(wait) from fares
select date_trunc('month', paid_on::timestamp) as m, sum(price) from fares group by 1 order by 1
select extract(year from time_hour) as y, extract(month from time_hour) as m, count(*) from flights group by 1, 2 order by 1, 2
select count(*) from flights where false
select sum(dep_delay), avg(dep_delay), max(carrier) from flights where false

-- windows
select carrier, month, n, rank() over (partition by month order by n desc, carrier) as r from (select carrier, month, count(*) as n from flights group by carrier, month) q order by month, r, carrier
select id, price, sum(price) over (order by id) as running, avg(price) over (order by id rows between 2 preceding and current row) as mean3 from fares order by id limit 50
select id, lag(price) over (order by id), lead(price, 2, 0.00) over (order by id), first_value(note) over (order by id), nth_value(code, 3) over (order by id) from fares order by id limit 30
select id, row_number() over (order by mixed, id), dense_rank() over (order by mixed), ntile(7) over (order by id), percent_rank() over (order by small), cume_dist() over (order by small) from fares order by id limit 60
select id, count(*) over (order by small range between 10 preceding and 10 following) from fares order by id limit 40
select id, sum(small) over (partition by code order by id groups between 1 preceding and 1 following exclude current row) from fares order by id limit 40
select id, max(ratio) over (partition by ok order by id rows between unbounded preceding and 1 preceding) from fares order by id limit 40
select origin, month, sum(count(*)) over (partition by origin order by month) from flights group by origin, month order by 1, 2
select id, sum(mixed) over (order by id rows 3 preceding) from fares order by id limit 30
select id, string_agg(code, '-') over (order by id rows 2 preceding) from fares order by id limit 10
select distinct on (carrier) carrier, flight, distance from flights order by carrier, distance desc, flight
select id, sum(price) filter (where ok) over (order by id) from fares order by id limit 30
select id, last_value(id) over (partition by code order by id rows between unbounded preceding and unbounded following) from fares order by id limit 20

-- nested
select name from airlines where carrier in (select carrier from flights where dest = 'HNL') order by name
select name from airlines a where (select count(*) from flights f where f.carrier = a.carrier) > 500 order by name
select carrier, (select max(distance) from flights f where f.carrier = a.carrier) as far from airlines a order by far desc nulls last, carrier
with late as (select * from flights where dep_delay > 60), n as (select origin, count(*) as c from late group by origin) select n.origin, n.c, round(100.0 * n.c / (select count(*) from late), 3) from n order by 1
with recursive t(n, f) as (select 1, 1::numeric union all select n + 1, f * (n + 1) from t where n < 30) select n, f from t order by n
with recursive hop(dest, depth) as (select 'JFK', 0 union select f.dest, depth + 1 from hop join flights f on f.origin = hop.dest where depth < 1) select depth, count(*) from hop group by depth order by depth
select origin from flights where month = 1 union select faa from airports where faa like 'A%' order by 1 limit 12
select dest from flights where origin = 'JFK' intersect select dest from flights where origin = 'LGA' order by 1
select dest from flights where origin = 'EWR' except select dest from flights where origin = 'LGA' order by 1
select month from flights except all select month from fares cross join (values (1)) v(month) order by 1 limit 10
select price from fares union select tax from fares order by 1 limit 30
select 1.0 as x union all select 2.00 union all select null order by x
select x, x > all (select small from fares where id < 5), x = any (array[1, -150, null]) from (values (1), (-150), (200)) v(x) order by x
select id from fares where small = any ('{1,2,3}'::int2[]) order by id
select id from fares where price > (select avg(price) from fares) order by id limit 10
select array(select distinct month from flights order by month)
select exists (select 1 from flights where dep_delay > 1000), not exists (select 1 from airlines)
select q.m, (select count(*) from fares f where extract(month from f.paid_on) = q.m) from generate_series(1, 12) q(m) order by 1
select g, sum(g) over (order by g) from generate_series(1, 5) g
select generate_series(1, 3) as a, generate_series(10, 11) as b
select u.x, u.n from unnest(array['a', 'b', null]) with ordinality as u(x, n) order by n
select id, price from fares order by price desc nulls last, id fetch first 3 rows with ties
select id from fares order by id offset 395
select * from (values (1, 'a'), (2, null)) v(x, y) order by x desc
select coalesce(tax, price, 0), nullif(code, 'ab'), greatest(price, tax), least(small, 3) from fares order by id limit 20
select case when price > 5000 then 'high' when price is null then null else 'low' end as band, count(*) from fares group by 1 order by 1

-- scalars
select upper(note), length(note), note || '!', substring(note from 2 for 2), position('e' in note), replace(note, 'e', 'X') from fares order by id limit 20
select lower(code), code || '|', char_length(code), code = 'ab' from fares order by id limit 10
select note like '%e%', note ilike 'b%', note similar to '(red|blue)', note ~ '^G' from fares order by id limit 20
select paid_on + 7, paid_on - date '2013-01-01', extract(dow from paid_on), to_char(paid_on, 'YYYY-MM-DD'), date_trunc('year', at) from fares order by id limit 20
select at + interval '1 month 2 days', at - timestamp '2013-01-01', extract(epoch from at), extract(second from at), date_part('hour', at) from fares order by id limit 20
select wait * 2, wait + interval '1 day', paid_on + wait, wait > interval '2 months' from fares order by id limit 20
select price * 2, price + tax, price - 1, price / 7, -price, abs(price), round(price / 3, 4), trunc(price), ceil(price), floor(price), price % 10 from fares order by id limit 40
select tax * mixed, tax + mixed, tax / nullif(mixed, 0), round(tax, 1), tax::int, tax::float8, tax::text, mixed::numeric(12,3) from fares order by id limit 40
select small + 1, small * 2, small / 7, small % 7, small::text, big / 1000, big::float8, abs(small) from fares order by id limit 20
select ratio * 2, round(ratio::numeric, 3), ratio::int, sqrt(abs(ratio)), power(ratio, 2), ratio::text, floor(ratio) from fares where ratio is not null order by id limit 20
select not ok, ok and small > 0, ok or null, ok is true, ok is not false, ok is unknown from fares order by id limit 20
select id from fares where price between 100 and 2000.5 and note is not null and code in ('ab', 'x') order by id limit 20
select id, price::int4, price::text, mixed = 1, mixed is distinct from tax from fares order by id limit 30
select 7 / 2, -7 / 2, 7 % 3, 7.0 / 2, 1 / 3.0, 2 ^ 10, 10 / 4.0::float8
select sum(dep_delay) / count(*) as whole, sum(dep_delay)::numeric / count(*) as exact, avg(dep_delay)::numeric(10,3) from flights
select substr(tailnum, 1, 2) as p, count(*) from flights group by 1 order by 2 desc, 1 limit 10
select concat(origin, '-', dest), concat_ws('/', year, month, day) from flights order by time_hour, flight limit 5
select to_char(time_hour, 'Mon DD') as d, count(*) from flights where month = 2 group by 1 order by 1 limit 5
select price::numeric(4,2) from fares where price is not null order by price limit 1
select small / 0 from fares
select 2147483647 + small::int from fares where small > 100
select (select id from fares)
select sum(big) from fares where big > 0
select row(1, 'a'), row(id, price) from fares order by id limit 2

-- mixed
select mixed from fares where id < 100 intersect select mixed from fares where id > 100 order by 1
select mixed from fares where id < 100 except select mixed from fares where id > 50 order by 1
select mixed, code, count(*), sum(price) from fares group by grouping sets ((mixed), (code), ()) order by 1, 2, 3 limit 40
select distinct mixed from fares order by mixed limit 20
select distinct price from fares order by price nulls first limit 20
select distinct ok, code from fares order by code desc, ok
select * from (with a as (select 1 as x) select x + 1 as y from a) q
select (with a as (select max(price) as m from fares) select m from a), count(*) from fares
with a as (select code, sum(price) as s from fares group by code), b as (select code, s from a where s > 0), c as materialized (select max(s) as m from b) select b.code, b.s, c.m, b.s / c.m from b, c order by 1
with recursive t(n) as (values (1) union all select n + 1 from t where n < 100) select sum(n), avg(n), count(*) from t
with recursive f(a, b, n) as (select 0::numeric, 1::numeric, 1 union all select b, a + b, n + 1 from f where n < 120) select n, a from f where n % 10 = 0 order by n
with recursive p(id, path) as (select 1, '1' union all select id + 1, path || ',' || (id + 1)::text from p where id < 6) select * from p order by id
select f.code, x.total from (select distinct code from fares) f left join lateral (select sum(g.price) as total from fares g where g.code = f.code and g.ok) x on x.total > 0 order by 1
select id, (select count(*) from fares g where g.price < f.price) as lower from fares f where id < 20 order by id
select id from fares f where price = (select max(price) from fares g where g.code = f.code) order by id
select id from fares f where exists (select 1 from fares g where g.mixed = f.mixed and g.id > f.id) order by id limit 20
select id, mixed in (select tax from fares where tax is not null), price not in (select price from fares where id = 3 and price is not null) from fares order by id limit 20
select id, small not in (select small from fares where id between 5 and 7) from fares order by id limit 10
select (id, code) in (select id, code from fares where id < 5) from fares order by id limit 8
select a.id, b.id from fares a join fares b on a.mixed = b.mixed and a.id < b.id order by 1, 2 limit 30
select a.id, b.id from fares a join fares b on a.price = b.tax order by 1, 2
select a.id, b.id from fares a left join fares b on a.tax > b.price and b.id < 10 and a.id < 20 where a.id < 20 order by 1, 2 limit 40
select a.id, b.id from fares a right join fares b on a.id = b.id + 398 order by 2, 1 limit 10
select a.id, b.id from (select id from fares where id < 4) a full join (select id from fares where id between 3 and 5) b using (id) order by 1, 2
select count(*) from fares natural join (select id, code from fares) g
select id, case when mixed > 1 then mixed when mixed < 0 then price else 0 end from fares order by id limit 30
select coalesce(mixed, price, tax, 0.000) from fares order by id limit 10
select id, array[price, tax] from fares order by id limit 10
select array_agg(mixed order by mixed, id) from fares where id < 20
select array_agg(note order by id) from fares where id < 15
select string_agg(note, ';') from fares where id < 20
select string_agg(code, note) from fares where id < 10
select code, array_agg(id) from fares where id < 20 group by code order by code
select max(note), min(note), max(code), min(code), max(paid_on), min(at), max(mixed), min(mixed), max(wait) from fares
select bit_and(small), bit_or(small), bit_xor(id) from fares
select regr_count(price::float8, tax::float8), regr_r2(ratio, small::float8) from fares
select sum(distinct price), avg(distinct mixed), sum(distinct mixed), count(distinct code) from fares
select sum(price) over (partition by code), count(*) over () from fares order by id limit 5
select id, price - lag(price) over w as diff, sum(price) over w from fares window w as (partition by code order by id) order by id limit 30
select code, sum(sum(price)) over (order by code), rank() over (order by avg(price)) from fares group by code order by code
select id, avg(price) over (partition by code order by id rows between 1 preceding and 1 following exclude group) from fares order by id limit 20
select id, stddev(price) over (order by id rows 5 preceding), avg(small) over (order by id rows 5 preceding) from fares order by id limit 20
select id, first_value(mixed) over (partition by code order by mixed nulls first, id) from fares order by id limit 20
select id, sum(price) over (order by mixed range between unbounded preceding and current row) from fares order by mixed, id limit 30
select id, sum(price) over (order by paid_on range between '10 days' preceding and current row) from fares where paid_on is not null order by paid_on, id limit 30
select id, count(*) over (order by price range between 100 preceding and 50.5 following) from fares where price is not null order by price, id limit 30
select percentile_cont(0.25) within group (order by ratio), percentile_cont(array[0.1, 0.9]) within group (order by ratio desc), percentile_disc(0.5) within group (order by mixed), percentile_cont(0.5) within group (order by wait) from fares
select code, percentile_cont(0.5) within group (order by price) from fares group by code order by code
select mode() within group (order by mixed) from fares
select sum(0.1) from fares
select avg(1.5), sum(2), avg(id), sum(id), avg(small), sum(small::int8) from fares
select 0.1 + 0.2, 1e20 * 1e20, 123456789012345678901234567890 * 2, 1.10 * 2.20, 10.0 / 3, 2.5::int, -2.5::int, 3.5::int, 0.5::int
select sum(price * price * price), sum(big::numeric * big), sum(big::numeric * 1.5) from fares
select price * 12345678901234567890.123456789 from fares where id < 10 order by id
select round(price, -2), round(price, 1), round(mixed, 3), trunc(mixed, 1), round(price) from fares order by id limit 20
select sign(price), mod(price, 7), div(price, 7), sqrt(abs(price)), power(small, 2), exp(1.0), ln(2.0), log(100.0) from fares order by id limit 10
select (price / 100)::numeric(10, 4), (price * 100)::int, price::float4, price::real * 2, price::bigint from fares order by id limit 20
select 1::numeric(5, 2), 123.456::numeric(5, 2), 99999::numeric(4, 0)
select 'abc'::varchar(2), 'abc'::char(5) || '|', 'x'::text, 12::text || 'a', true::text
select null, null::int + 1, null || 'a', null = null, null in (1, 2), 1 in (null, 1), 2 in (null, 1)
select 1 where 1 = any (array[]::int[]) or 1 = all (array[]::int[])
select * from (values (1.5, 'a'), (2, 'b'), (3.25, null)) v(n, t) order by n
select x * 2 from (values (1.5), (2.25)) v(x)
select distinct on (code) code, id, price from fares order by code, price desc nulls last, id
select code, count(*) from fares group by code having avg(price) > 4000 order by code
select count(*), code from fares where price > 100 and (ok or ok is null) group by code, ok order by 1, 2
select upper(code), count(*) from fares group by upper(code) order by 1
select length(note), count(*) from fares group by 1 order by 1
select id from fares order by mixed desc, id desc limit 10 offset 5
select id from fares order by price * -1, id limit 10
select id from fares where id = 17 or id in (20, 30) order by id desc
select id from fares where id between 10 and 12
select sum(x) from (select id as x from fares order by id limit 10) q
select * from (select id from fares order by id desc limit 3) a union all (select id from fares order by id limit 2)
(select id from fares order by id limit 2) union (select 1) order by 1 desc
select count(*) from (select 1 from fares) q
select count(*) from fares, airlines where false
select max(x) from (select count(*) as x from flights group by dest) q
select carrier from airlines where not exists (select 1 from flights f where f.carrier = airlines.carrier)
select 1 + (select count(*) from airlines), (select name from airlines where carrier = 'zz')
select id / 0 from fares where id < 0
select case when id = 1 then 1 else 10 / (id - 1) end from fares order by id limit 3
select 32767::int2 + 1::int2
select (-9223372036854775808)::int8 / -1
select 1 / 0.0
select 'a' < 'B', 'é' > 'z', 'a ' = 'a', 'a '::char(3) = 'a'::char(5)
select name from airports where name like '%Intl' and alt > 1000 order by name collate "C" limit 10
select tz, count(*), min(alt), max(lat) from airports group by tz order by tz
select lat + lon, lat * 2, lat / 3, -lat, lat::int, lat::numeric, round(lat::numeric, 1) from airports order by faa limit 20
select avg(lat), sum(alt), stddev(lon), var_pop(lat) from airports
select row_number() over (), id from fares order by id limit 3
select time_hour from flights where time_hour < '2013-01-02' order by time_hour desc, flight limit 5
select min(time_hour), max(time_hour), count(distinct time_hour) from flights
select month, day, count(*) from flights group by month, day having count(*) > 22 order by 3 desc, 1, 2 limit 10
select dep_delay, arr_delay, dep_delay - arr_delay as gained from flights where dep_delay is not null and arr_delay is not null order by gained desc, flight limit 10
select year * 10000 + month * 100 + day as d, avg(dep_delay)::numeric(8,2) from flights group by d order by d limit 10
select count(*) filter (where carrier in ('AA', 'UA')) * 100.0 / count(*) from flights
select origin, dest, count(*) as n, sum(count(*)) over (partition by origin) as total from flights group by 1, 2 order by n desc, 1, 2 limit 10

-- functions
select g, n from generate_series(5, 1, -2) with ordinality as s(g, n)
select count(*), sum(g) from generate_series(1, 1000000) g
select * from generate_series(1, 3, 0)
select * from generate_series(null, 3)
with recursive t(n) as (select 1 union all select n + 1 from t) select n from t limit 5
select d::date from generate_series('2013-01-01'::timestamp, '2013-01-10', '3 days') d
select date_trunc('hour', time_hour) h, count(*) from flights group by 1 order by 1 limit 5
select unnest(array[1, 2, 3]) * 2
select id, unnest(array[id, small]) from fares order by id limit 6
select a.id, u from fares a, unnest(array[a.id, a.small]) u where a.id < 4 order by 1, 2
select string_to_array('a,b,c', ','), array_length(array[1, 2], 1), array[1, 2] || 3, (array[5, 6])[2], array[1, 2] = array[1, 2], array[1,2] @> array[1]
select regexp_replace(note, '[aeiou]', '*', 'g'), split_part(note, 'e', 1), left(note, 2), right(note, 2), lpad(code, 6, '*'), initcap(note), reverse(note), md5(note) from fares order by id limit 10
select age(timestamp '2013-05-01', timestamp '2013-01-15'), justify_days(interval '40 days'), make_date(2013, 2, 3), date '2013-01-31' + interval '1 month', extract(isodow from date '2013-01-06'), extract(week from date '2013-01-06'), extract(quarter from date '2013-05-06'), extract(century from date '2013-05-06')
select json_agg(code order by id) from fares where id < 4
select jsonb_build_object('a', id, 'b', price) from fares order by id limit 3
select json_build_array(1, 'x', null), to_json(array[1, 2]), row_to_json(row(1, 'a'))
select ('{"a": {"b": [1, 2]}}'::jsonb) -> 'a' -> 'b' ->> 0, '{"a": 1}'::jsonb @> '{"a": 1}'
select jsonb_object_agg(code, id order by id) from fares where id < 4
select * from jsonb_each('{"a": 1, "b": "x"}') order by key
select * from jsonb_array_elements_text('["x", "y"]') with ordinality
select key, value from fares f, jsonb_each_text(jsonb_build_object('id', f.id)) where f.id < 3 order by value
select gen.x, (select string_agg(code, ',' order by id) from fares where id <= gen.x) from generate_series(1, 4) gen(x)
select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'fares'::regclass and attnum > 0 order by attnum
select id from fares order by random() limit 0
select count(*) from (select random() as r from fares) q where r >= 0 and r < 1
select overlay('abcdef' placing 'XX' from 2 for 3), trim(both 'x' from 'xxaxx'), translate('abc', 'ab', 'xy'), ascii('a'), chr(65), repeat('ab', 3), strpos('abc', 'c'), to_hex(255), encode('abc'::bytea, 'hex'), 'abc'::bytea
select date '2013-03-01' - 1, date '2013-03-01' - date '2013-02-01', timestamp '2013-01-01 10:00' - interval '3 hours', '10:00'::time + interval '2 hours', interval '1 day' * 1.5, interval '1 mon' / 2
select id, price is null, (price, tax) is null, (id, code) = (1, 'ab') from fares order by id limit 3
select width_bucket(price, 0, 9000, 5), count(*) from fares group by 1 order by 1
select a.code, b.code from (select distinct code from fares) a cross join (select distinct code from fares) b order by 1, 2
select date_trunc('week', at), date_trunc('quarter', at), date_trunc('day', at), date_trunc('hour', at), date_trunc('second', at), date_trunc('century', at), date_trunc('decade', at) from fares order by id limit 30
select paid_on::timestamp, at::date, at::time, paid_on < at, at >= paid_on, at - paid_on::timestamp, paid_on - 400, at + wait, paid_on - wait, at - wait from fares order by id limit 60
select date 'infinity' + 1, timestamp 'infinity' + interval '1 day', date 'infinity' > date '2020-01-01', date '-infinity'::timestamp, extract(year from date '0044-03-15 BC'), date '0044-03-15 BC'
select paid_on, count(*), sum(price) from fares where paid_on >= date '2013-03-01' and paid_on < date '2013-03-01' + interval '1 month' group by paid_on order by 1
select extract(hour from time_hour) as h, extract(dow from time_hour), avg(dep_delay) from flights group by 1, 2 order by 1, 2 limit 40
select to_char(date_trunc('month', time_hour), 'YYYY-MM') as m, count(*) from flights group by 1 order by 1
select age(max(at), min(at)), max(at) - min(at) from fares
select code::varchar(3), note::varchar(2), id::text || code, id::varchar(2) as short, ratio::text from fares order by id limit 20
select x, count(*) from (values (0.0::float8), ('-0'::float8), ('NaN'::float8), ('NaN'::float8), (null)) v(x) group by x order by x
select distinct x from (values ('NaN'::float8), ('NaN'::float8), (1)) v(x) order by x
select a.x from (values ('NaN'::float8), (1)) a(x) join (values ('NaN'::float8)) b(x) on a.x = b.x
select x from (values ('a'), ('B'), ('é'), ('z'), ('Z'), (''), ('aa')) v(x) order by x
select sum(g), count(*) from generate_series(1, 3000000) g
select sum(g::int) from generate_series(2147483000, 2147483647) g
select sum(g) from generate_series(9223372036854775000, 9223372036854775807) g
select avg(g) from generate_series(9223372036854775000, 9223372036854775807) g
select 'NaN'::numeric, 'Infinity'::numeric, x from (values ('NaN'::numeric), (1.5), ('-Infinity')) v(x) order by x
select x, x::numeric(10,1), x + 1 from (values (1.25), (-1.25), (1.35)) v(x) order by 1
select 1.5::numeric(3,1) union select 1.50::numeric(4,2) order by 1
select * from (select 1 as a union select 2) x(a) where a not in (select null::int)
select 'abc'::varchar(2), note::varchar(3), code::char(2), code::char(6) || '|' from fares order by id limit 10
select x from (values ('abc'::char(5)), ('abc')) v(x) group by x
select count(distinct code) from fares where code = 'ab  '
select u from unnest(array[3, 1, 2]) u order by u desc
select array_agg(x order by x desc nulls last) from (values (1), (null), (3)) v(x)
select row_number() over (order by x), x from (select distinct month as x from flights) q order by 1
select case when true then 1.5 else 2 end, case when false then 1 else 2.25 end, coalesce(null, 1.10)
select 1 where not exists (select 1 from fares where price is null and id < 0)
select interval '1 day' = interval '24 hours', interval '1 mon' > interval '29 days', count(distinct x) from (values (interval '1 day'), (interval '24 hours')) v(x)
select t.id from fares t where (t.code, t.ok) in (select code, ok from fares where id in (1, 2, 3)) order by 1 limit 5
select lag(id, 2, -1) over (order by id), lead(code) over (partition by ok order by id) from fares order by id limit 10
select 10 % 3.5, 10.5 % 3, -7.5 % 2, 5::numeric / 2::numeric, round(7::numeric ^ 2, 10)
select null::numeric + 1, sum(null::numeric), avg(null::int), max(null::text), null::date + 1
select price from fares where price = 293.17 or price = '4040.02' order by 1
select count(*) from fares where mixed::int = small
select x.id, y.id from (select id from fares where id < 3) x, lateral (select id from fares f where f.id > x.id order by f.id limit 2) y order by 1, 2
