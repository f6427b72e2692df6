#!/usr/bin/env escript
%%! +S 1:1 +sbwt none +P 1000000
%% The peer that sets the aims: Erlang/OTP on one scheduler, driven line by line so that its rounds alternate with ours.
%% In: "COMMAND N" on standard input. Out: one line of numbers; a command that fails ends the program.
-module(actors_otp).
-mode(compile).
-export([main/1, init/1, start_worker/1, start_plain/1, plain_init/1, worker_loop/0, handle_call/3, handle_cast/2,
         handle_info/2, terminate/2]).

main(_) ->
    logger:set_primary_config(level, none),
    io:format("ready ~s ~s~n", [erlang:system_info(otp_release), erlang:system_info(emu_flavor)]),
    serve().

serve() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            [Name | Args] = string:lexemes(Line, " \n"),
            Figures = in_fresh_process(list_to_atom(Name), [list_to_integer(A) || A <- Args]),
            io:format("~s~n", [lists:join(" ", [integer_to_list(F) || F <- Figures])]),
            serve()
    end.

%% Each round has a heap of its own, as a fresh task has.
in_fresh_process(Name, Args) ->
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() -> Self ! {figures, self(), run(Name, Args)} end),
    receive {figures, Pid, Figures} -> erlang:demonitor(Ref, [flush]), Figures;
            {'DOWN', Ref, process, Pid, Reason} -> exit({Name, Reason})
    end.

now_ns() -> erlang:monotonic_time(nanosecond).

timed(Work) ->
    Begun = now_ns(),
    Work(),
    [now_ns() - Begun].

%% Messages

run(tell, [N]) ->
    Self = self(),
    Receiver = spawn_link(fun() -> count(N, Self) end),
    timed(fun() -> tell(Receiver, N), receive {counted, N} -> ok end end);
run(cast, [N]) ->
    {ok, Server} = gen_server:start_link(?MODULE, worker, []),
    Figures = timed(fun() -> repeat(N, fun(I) -> gen_server:cast(Server, {note, I}) end), gen_server:call(Server, count) end),
    N = gen_server:call(Server, count),
    gen_server:stop(Server),
    Figures;
run(call, [N]) ->
    {ok, Server} = gen_server:start_link(?MODULE, worker, []),
    Figures = timed(fun() -> repeat(N, fun(I) -> I = gen_server:call(Server, {echo, I}) end) end),
    gen_server:stop(Server),
    Figures;
run(monitored, [N]) ->
    Echo = spawn_link(fun echo/0),
    timed(fun() -> repeat(N, fun(I) -> I = monitored_call(Echo, I) end) end);
run(pingpong, [N]) ->
    Echo = spawn_link(fun echo/0),
    timed(fun() -> repeat(N, fun(I) -> I = bare_call(Echo, I) end) end);

%% Starts

run(spawn, [N]) ->
    {Ns, Pids} = timed_list(N, fun(_) -> spawn(?MODULE, worker_loop, []) end),
    [exit(Pid, kill) || Pid <- Pids],
    [Ns];
run(start_link, [N]) ->
    process_flag(trap_exit, true),
    {Ns, Pids} = timed_list(N, fun(_) -> {ok, Pid} = proc_lib:start_link(?MODULE, plain_init, [self()]), Pid end),
    [exit(Pid, kill) || Pid <- Pids],
    [Ns];
run(start_child, [N]) ->
    {ok, Sup} = start_dynamic(worker, 1000000),
    {Ns, _} = timed_list(N, fun(_) -> {ok, Pid} = supervisor:start_child(Sup, []), Pid end),
    stop(Sup),
    [Ns];
run(start_child_plain, [N]) ->
    {ok, Sup} = start_dynamic(plain, 1000000),
    {Ns, _} = timed_list(N, fun(_) -> {ok, Pid} = supervisor:start_child(Sup, []), Pid end),
    stop(Sup),
    [Ns];
run(static_tree, [N]) ->
    process_flag(trap_exit, true),
    Self = self(),
    Figures = timed(fun() -> {ok, Sup} = supervisor:start_link(?MODULE, {static, N}), Self ! {sup, Sup} end),
    receive {sup, Sup} -> stop(Sup) end,
    Figures;

%% Memory: of the median process, and of the whole node per process

run(memory, [N]) ->
    {ok, Sup} = start_dynamic(worker, 1000000),
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Pids = [begin {ok, Pid} = supervisor:start_child(Sup, []), Pid end || _ <- lists:seq(1, N)],
    Fresh = (erlang:memory(total) - Before) div N,
    One = median([element(2, process_info(Pid, memory)) || Pid <- Pids]),
    [gen_server:call(Pid, {echo, 1}) || Pid <- Pids],
    Asked = (erlang:memory(total) - Before) div N,
    OneAsked = median([element(2, process_info(Pid, memory)) || Pid <- Pids]),
    stop(Sup),
    [One, Fresh, OneAsked, Asked];
run(crowd, [N]) ->
    {ok, Sup} = start_dynamic(worker, 1000000),
    {Start, Pids} = timed_list(N, fun(_) -> {ok, Pid} = supervisor:start_child(Sup, []), Pid end),
    [Tell] = timed(fun() -> [gen_server:cast(Pid, {note, 1}) || Pid <- Pids], gen_server:call(lists:last(Pids), {echo, 1}) end),
    [Ask] = timed(fun() -> [gen_server:call(Pid, {echo, 1}) || Pid <- Pids] end),
    [Stop] = timed(fun() -> stop(Sup) end),
    [Start, Tell, Ask, Stop];

%% Crashes

run(restart, [N]) ->
    {ok, Sup} = start_dynamic({crashing, self()}, 1000000),
    {ok, First} = supervisor:start_child(Sup, []),
    receive {up, First, _} -> ok end,
    Times = lists:sort(crash_again(N, First, [])),
    stop(Sup),
    [at(Times, 0.5), at(Times, 0.99)];
run(storm, [Siblings, Milliseconds]) ->
    {ok, Sup} = start_dynamic({crashing, self()}, 1000000000),
    {ok, Healthy} = gen_server:start_link(?MODULE, worker, []),
    [{ok, _} = supervisor:start_child(Sup, []) || _ <- lists:seq(1, Siblings)],
    Self = self(),
    spawn_link(fun() -> Self ! {asked, ask_each_ms(Healthy, now_ns() + Milliseconds * 1000000, [])} end),
    {Crashes, Taken} = storm(0),
    {Lags, Asks} = lists:unzip(Taken),
    Sorted = lists:sort(Asks),
    SortedLags = lists:sort(Lags),
    stop(Sup),
    gen_server:stop(Healthy),
    [Crashes, at(Sorted, 0.5), at(Sorted, 0.99), lists:last(Sorted), at(SortedLags, 0.99), lists:last(SortedLags),
     at(lists:sort([Lag + Ask || {Lag, Ask} <- Taken]), 0.99)].

count(N, From) -> count(N, N, From).

count(0, Total, From) -> From ! {counted, Total};
count(Left, Total, From) -> receive _ -> count(Left - 1, Total, From) end.

tell(_, 0) -> ok;
tell(Pid, N) -> Pid ! N, tell(Pid, N - 1).

repeat(0, _) -> ok;
repeat(N, Work) -> Work(N), repeat(N - 1, Work).

timed_list(N, Work) ->
    Begun = now_ns(),
    Made = [Work(I) || I <- lists:seq(1, N)],
    {now_ns() - Begun, Made}.

%% What gen_server:call does, without the module: it notices the death of the one asked, and has a deadline.
monitored_call(Pid, Message) ->
    Ref = erlang:monitor(process, Pid),
    Pid ! {ask, self(), Ref, Message},
    receive
        {Ref, Answer} -> erlang:demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Pid, Reason} -> exit(Reason)
    after 5000 -> exit(timeout)
    end.

%% Less than an ask: if the one asked dies, this waits for ever.
bare_call(Pid, Message) ->
    Pid ! {ask, self(), ping, Message},
    receive {ping, Answer} -> Answer end.

echo() -> receive {ask, From, Ref, Message} -> From ! {Ref, Message}, echo() end.

crash_again(0, _, Times) -> Times;
crash_again(N, Pid, Times) ->
    gen_server:cast(Pid, crash),
    receive {crashing, Pid, Raised} -> ok end,
    receive {up, Next, Up} -> crash_again(N - 1, Next, [Up - Raised | Times]) end.

%% Every sibling that comes up is told to crash again, until the asker has finished. The supervisor walks through its list
%% of the last second's restarts at each one, which is what slows the storm down here.
storm(Crashes) ->
    receive
        {asked, Taken} -> {Crashes, Taken};
        {up, Pid, _} -> gen_server:cast(Pid, crash), storm(Crashes);
        {crashing, _, _} -> storm(Crashes + 1)
    end.

%% How late each sleep ended, and how long each call took. A timer of one millisecond fires in the second one at best.
ask_each_ms(Server, Until, Taken) ->
    Asleep = now_ns(),
    timer:sleep(1),
    Begun = now_ns(),
    gen_server:call(Server, {echo, 1}),
    Done = now_ns(),
    Next = [{Begun - Asleep - 1000000, Done - Begun} | Taken],
    case Done > Until of
        true -> Next;
        false -> ask_each_ms(Server, Until, Next)
    end.

at(Sorted, Share) -> lists:nth(max(1, ceil(length(Sorted) * Share)), Sorted).

median(Values) -> at(lists:sort(Values), 0.5).

start_dynamic(What, Intensity) ->
    process_flag(trap_exit, true),
    supervisor:start_link(?MODULE, {dynamic, What, Intensity}).

stop(Sup) ->
    exit(Sup, shutdown),
    receive {'EXIT', Sup, _} -> ok end.

%% Callbacks: of the supervisors, then of the workers

init({dynamic, plain, Intensity}) ->
    {ok, {{simple_one_for_one, Intensity, 1}, [{child, {?MODULE, start_plain, [x]}, permanent, brutal_kill, worker, []}]}};
init({dynamic, What, Intensity}) ->
    {ok, {{simple_one_for_one, Intensity, 1}, [{child, {?MODULE, start_worker, [What]}, permanent, 5000, worker, []}]}};
init({static, N}) ->
    {ok, {{one_for_one, 1000000, 1},
          [{I, {?MODULE, start_worker, [worker]}, permanent, 5000, worker, []} || I <- lists:seq(1, N)]}};
init({crashing, Observer}) ->
    Observer ! {up, self(), now_ns()},
    {ok, Observer};
init(worker) ->
    {ok, 0}.

start_worker(What) -> gen_server:start_link(?MODULE, What, []).
start_plain(_) -> proc_lib:start_link(?MODULE, plain_init, [self()]).
plain_init(Parent) -> proc_lib:init_ack(Parent, {ok, self()}), worker_loop().
worker_loop() -> receive stop -> ok end.

handle_call({echo, Message}, _, State) -> {reply, Message, State};
handle_call(count, _, Count) -> {reply, Count, Count}.

handle_cast({note, _}, Count) -> {noreply, Count + 1};
handle_cast(crash, Observer) ->
    Observer ! {crashing, self(), now_ns()},
    error(boom).

handle_info(_, State) -> {noreply, State}.
terminate(_, _) -> ok.
