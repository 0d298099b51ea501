"""Whose turn it is on the KV node's event loop: the library `admission`, wired to real requests.

scheduler.py      takes what may not run at once into the fair queue, and drains it in slices
lane.py           the requests of one stream that wait
read_gate.py      which long reads of a stream are under way, and which wait for what
answer_room.py    who gets room for answers that comes free
unread_watch.py   who is ended because others wait for what it leaves unread
elastic_queue.py  the queue of elastic work, and its part beside what is not
elastic.py        turns for background work
waits.py          how long what waited
io_gate.py        bulk writes wait while the disk is slow
watchdog.py       what holds the loop up
stalls.py         how often it did, in buckets
"""
