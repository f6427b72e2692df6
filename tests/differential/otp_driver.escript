#!/usr/bin/env escript
%% -*- erlang -*-
%%! +S 1:1
%%
%% Plays scripts on Erlang/OTP's own supervisor and writes down, in order, what happened.
%%
%% In, on standard input, one line for each batch: INPUT<tab>OUTPUT. INPUT holds one term for each script,
%%     {script, Number, Supervisor, Broken, Opening, Commands}.
%% and OUTPUT receives "Number<tab>line" for each line of each script's trace; "done" is then printed.
%%
%% Every script is played by a process of its own, many at a time, so that the few milliseconds that a child which
%% ignores its shutdown costs are shared. One scheduler runs them all: signals then arrive in the order in which they
%% were sent, whoever sent them, which is what makes the collector's mailbox the order of events.
%%
%% The pieces: the player carries out the commands; the collector writes the trace, and says which starts fail or wait;
%% workers and supervisors are ordinary children.
-module(otp_driver).
-mode(compile).
-export([main/1, init/1, start_supervisor/3, start_worker/3, start_dynamic/4, worker/3]).

-define(AT_ONCE, 64).         % scripts played at the same time
-define(SCRIPT_LIMIT, 10000). % milliseconds for one script
-define(PERIOD, 86400).       % seconds; the scripts are not about time
-define(OVERSTAY, 30).        % milliseconds that a child which ignores its shutdown is given
-define(TIMEOUT, 5000).       % milliseconds that any other child is given

main([]) ->
    ok = logger:set_primary_config(level, none),
    serve().

serve() ->
    case io:get_line("") of
        eof ->
            ok;
        Line ->
            [Input, Output] = string:lexemes(Line, "\t\n"),
            {ok, Scripts} = file:consult(Input),
            {ok, File} = file:open(Output, [write, raw, delayed_write]),
            play_all(Scripts, #{}, File),
            ok = file:close(File),
            io:put_chars("done\n"),
            serve()
    end.

play_all([], Playing, _File) when map_size(Playing) =:= 0 ->
    ok;
play_all([{script, Number, _, _, _, _} = Script | Rest], Playing, File) when map_size(Playing) < ?AT_ONCE ->
    {_, Mon} = spawn_monitor(fun() -> exit({trace, play(Script)}) end),
    play_all(Rest, Playing#{Mon => Number}, File);
play_all(Rest, Playing, File) ->
    receive
        {'DOWN', Mon, process, _, Outcome} ->
            {Number, Left} = maps:take(Mon, Playing),
            Lines = case Outcome of
                        {trace, Trace} -> Trace;
                        Other -> [io_lib:format("the driver failed: ~0p", [Other])]
                    end,
            ok = file:write(File, [[integer_to_list(Number), $\t, Line, $\n] || Line <- Lines]),
            play_all(Rest, Left, File)
    end.

%% The player

play({script, _Number, Tree, Broken, Opening, Commands}) ->
    process_flag(trap_exit, true),
    {ok, _} = timer:kill_after(?SCRIPT_LIMIT),
    C = spawn_link(fun() -> collect(#{plans => maps:from_list(Broken)}) end),
    open(C, Opening),
    case start_supervisor(C, "", Tree) of
        {ok, Root} ->
            close(C, Opening),
            settle([], C, Root),
            play_each(Commands, 1, C, Root),
            note(C, "> stop"),
            exit(Root, shutdown),
            await_end(Root),
            note(C, "the tree is gone");
        {error, Reason} ->
            note(C, ["start failed: ", culprit("", Reason)])
    end,
    ask(C, take).

%% What happens while the tree starts, and the player waits for it, is done by another process.
open(_C, none) ->
    ok;
open(C, {Path, Ends, Outcome}) ->
    Opener = spawn_link(fun() ->
                                receive {held, Path} -> ok end,
                                [finish(C, One, How) || {One, How} <- Ends],
                                note(C, ["release ", Path]),
                                ask(C, {release, Path, Outcome})
                        end),
    ask(C, {hold, Path, Opener}).

close(_C, none) -> ok;
close(C, {Path, _, Outcome}) -> ask(C, {release, Path, Outcome}).

play_each([], _, _, _) ->
    ok;
play_each([Command | Rest], N, C, Root) ->
    note(C, ["> ", integer_to_list(N)]),
    settle(do(Command, C, Root), C, Root),
    play_each(Rest, N + 1, C, Root).

%% Each command returns the words that it was answered with: they are written down when nothing moves any more, because
%% what follows from a call may happen before or after its caller is told.
do({starts, Path, {_How, _Times} = Plan}, C, _Root) ->
    ask(C, {starts, Path, Plan}),
    [];
do({finish, Path, How}, C, _Root) ->
    finish(C, Path, How);
do({together, Parent, Ends}, C, _Root) ->
    %% The supervisor looks only when all of them are dead.
    case ask(C, {alive, supervisor, Parent}) of
        undefined ->
            ["noproc"];
        Sup ->
            ok = sys:suspend(Sup),
            Words = [finish(C, Path, How) || {Path, How} <- Ends],
            ok = sys:resume(Sup),
            lists:append(Words)
    end;
do({hold, Path, Trigger, Ops, Outcome}, C, Root) ->
    %% While the start of Path waits, its supervisor waits in it, and what happens meanwhile queues up before it.
    %% A supervisor that is itself starting then acts beside its own supervisor, in no order: it is left alone.
    ask(C, {hold, Path, self()}),
    First = begin_call(Trigger, C),
    Watcher = spawn_link(fun() -> walk_until_still(C, Root), exit(still) end),
    Mon = monitor(process, Watcher),
    receive
        {held, Path} ->
            Calls = [First | case ask(C, {is_up, parent(Path)}) of
                                 true -> [begin_op(Op, parent(Path), C) || Op <- Ops];
                                 false -> []
                             end],
            note(C, ["release ", Path]),
            ask(C, {release, Path, Outcome}),
            receive {'DOWN', Mon, process, Watcher, _} -> ok end,
            lists:append([end_call(Call) || Call <- Calls]);
        {'DOWN', Mon, process, Watcher, _} ->
            ask(C, {release, Path, Outcome}),
            ["the start was not reached" | end_call(First)]
    end;
do(Call, C, _Root) ->
    end_call(begin_call(Call, C)).

%% Make a child end by itself (or be killed), and wait until it has.
finish(C, Path, How) ->
    case ask(C, {alive, worker, Path}) of
        undefined ->
            ["noproc"];
        Pid ->
            Mon = monitor(process, Pid),
            case How of
                kill -> exit(Pid, kill);
                _ -> Pid ! {finish, How}
            end,
            receive {'DOWN', Mon, process, Pid, _} -> [] end
    end.

%% A call is made by a process of its own, which is known to wait for the answer when begin_call returns.
begin_call({finish, Path, How}, C) ->
    {answered, finish(C, Path, How)};
begin_call(Call, C) ->
    Player = self(),
    Caller = spawn_link(fun() -> Player ! {answer, self(), call(Call, C)} end),
    await_waiting(Caller),
    Caller.

%% Supervisors below the one that waits act meanwhile: wait until each of them has, from the bottom up.
begin_op({finish, Path, How}, Held, C) ->
    Words = finish(C, Path, How),
    sync_up_to(Held, parent(Path), C),
    {answered, Words};
begin_op(Call, _Held, C) ->
    begin_call(Call, C).

sync_up_to(Held, Held, _C) ->
    ok;
sync_up_to(Held, Path, C) ->
    case ask(C, {alive, supervisor, Path}) of
        undefined -> ok;
        Sup -> walk_until_still(C, Sup, Path)
    end,
    sync_up_to(Held, parent(Path), C).

await_waiting(Caller) ->
    case process_info(Caller, [status, message_queue_len, current_function]) of
        [{status, waiting}, {message_queue_len, 0}, {current_function, {gen, _, _}}] -> ok;
        undefined -> ok;
        _ -> erlang:yield(), await_waiting(Caller)
    end.

end_call({answered, Words}) ->
    Words;
end_call(Caller) ->
    receive {answer, Caller, Word} -> [Word] end.

call({call, Verb, Parent, Id, Kind}, C) ->
    case {ask(C, {alive, supervisor, Parent}), Kind} of
        {undefined, _} ->
            "noproc";
        {Sup, static} ->
            word(catch supervisor:Verb(Sup, Id));
        {Sup, dynamic} ->
            %% Known by pid here and by id there: what a second call would say is not compared.
            case ask(C, {last, join(Parent, Id)}) of
                undefined ->
                    "ok or not_found";
                Pid ->
                    case word(catch supervisor:Verb(Sup, Pid)) of
                        "noproc" -> "noproc";
                        _ -> "ok or not_found"
                    end
            end
    end;
call({start_child, Parent, Spec, Kind}, C) ->
    case {ask(C, {alive, supervisor, Parent}), Kind} of
        {undefined, _} ->
            "noproc";
        {Sup, static} ->
            word(catch supervisor:start_child(Sup, child(C, Parent, Spec)));
        {Sup, dynamic} ->
            case ask(C, {alive, worker, join(Parent, Spec)}) of
                undefined -> word(catch supervisor:start_child(Sup, [Spec]));
                _ -> "the id is in use"
            end
    end.

word(ok) -> "ok";
word({ok, _}) -> "ok";
word({error, {already_started, _}}) -> "already_started";
word({error, {bad_combination, _}}) -> "refused";
word({error, Word}) when Word =:= already_present; Word =:= running; Word =:= restarting; Word =:= not_found ->
    atom_to_list(Word);
word({error, _}) -> "start failed";
word({'EXIT', _}) -> "noproc".

%% Wait until nothing moves any more, then write down the answers and the tree.
settle(Answers, C, Root) ->
    Lines = walk_until_still(C, Root),
    [note(C, ["= ", Answer]) || Answer <- Answers],
    [note(C, Line) || Line <- Lines],
    ok.

%% A supervisor that answers has taken note of every death before. One that dies of it is an event, and so is whatever
%% its own supervisor then does: only a walk during which nothing happens, and which meets nothing that is about to be
%% restarted, is the last.
walk_until_still(C, Root) ->
    walk_until_still(C, Root, "").

walk_until_still(C, Sup, Path) ->
    Before = ask(C, events),
    Lines = walk(C, Sup, Path, Path),
    case ask(C, events) of
        Before ->
            case lists:any(fun(Line) -> Line =:= unstable end, Lines) of
                true -> walk_until_still(C, Sup, Path);
                false -> Lines
            end;
        _ ->
            walk_until_still(C, Sup, Path)
    end.

walk(C, Sup, Path, Top) ->
    try {supervisor:which_children(Sup), supervisor:count_children(Sup)} of
        {Children, Counts} ->
            Named = lists:reverse([name(C, Path, Child) || Child <- Children]),
            Shown = case ask(C, {kind, Path}) of
                        dynamic -> lists:sort(Named);
                        static -> Named
                    end,
            [unstable || {_, restarting, _} <- Shown] ++
            [[title(Path), ":", [[" ", Id, "=", shown(Pid)] || {Id, Pid, _} <- Shown], " ", counted(C, Path, Counts)]
             | lists:append([walk(C, Pid, join(Path, Id), Top) || {Id, Pid, supervisor} <- Shown, is_pid(Pid)])]
    catch
        exit:_ when Path =:= Top -> ["no tree"];
        exit:_ -> [unstable]
    end.

name(C, _Path, {undefined, Pid, Type, _}) when is_pid(Pid) ->
    {lists:last(string:split(ask(C, {path_of, Pid}), "/", all)), Pid, Type};
name(_C, _Path, {Id, Pid, Type, _}) ->
    {Id, Pid, Type}.

shown(Pid) when is_pid(Pid) -> "running";
shown(Word) -> atom_to_list(Word).

counted(C, Path, Counts) ->
    %% A dynamic supervisor always has one specification, the template; there, it is not compared.
    Keys = case ask(C, {kind, Path}) of
               static -> [specs, active, supervisors, workers];
               dynamic -> [active, supervisors, workers]
           end,
    io_lib:format("~w", [[proplists:get_value(Key, Counts) || Key <- Keys]]).

await_end(Pid) ->
    Mon = monitor(process, Pid),
    receive {'DOWN', Mon, process, Pid, _} -> ok end.

culprit(Path, {shutdown, {failed_to_start_child, Id, Reason}}) -> culprit(join(Path, Id), Reason);
culprit(Path, _) -> Path.

parent(Path) -> lists:flatten(lists:join("/", lists:droplast(string:split(Path, "/", all)))).

title("") -> "root";
title(Path) -> Path.

join("", Id) -> Id;
join(Path, Id) -> Path ++ "/" ++ Id.

%% The children

start_supervisor(C, Path, Spec) ->
    case supervisor:start_link(?MODULE, {C, Path, Spec}) of
        {ok, Pid} ->
            ask(C, {up, Path}),
            {ok, Pid};
        Error ->
            Error
    end.

init({C, Path, {supervisor, _Id, #{strategy := Strategy} = Flags, Children}}) ->
    Kind = case Strategy of simple_one_for_one -> dynamic; _ -> static end,
    ask(C, {supervisor, Path, self(), Kind}),
    {ok, {(maps:with([strategy, intensity, auto_shutdown], Flags))#{period => ?PERIOD}, children(Kind, C, Path, Children)}}.

children(static, C, Path, Children) -> [child(C, Path, Child) || Child <- Children];
children(dynamic, C, Path, [Template]) -> [(child(C, Path, Template))#{start => {?MODULE, start_dynamic, [C, Path, Template]}}].

child(C, Path, {supervisor, Id, Options, _} = Spec) ->
    %% Without a limit, as OTP asks for: its children each have one.
    (maps:with([restart, significant], Options))#{id => Id, type => supervisor, shutdown => infinity,
                                                  start => {?MODULE, start_supervisor, [C, join(Path, Id), Spec]}};
child(C, Path, {worker, Id, #{shutdown := Shutdown, hangs := Hangs} = Options}) ->
    Time = case Shutdown of
               timeout when Hangs -> ?OVERSTAY;
               timeout -> ?TIMEOUT;
               _ -> Shutdown
           end,
    (maps:with([restart, significant], Options))#{id => Id, type => worker, shutdown => Time,
                                                  start => {?MODULE, start_worker, [C, join(Path, Id), Hangs]}}.

start_dynamic(C, Path, {worker, _, #{hangs := Hangs}}, Id) ->
    start_worker(C, join(Path, Id), Hangs);
start_dynamic(C, Path, {supervisor, _, _, _} = Template, Id) ->
    start_supervisor(C, join(Path, Id), Template).

start_worker(C, Path, Hangs) ->
    proc_lib:start_link(?MODULE, worker, [C, Path, Hangs]).

worker(C, Path, Hangs) ->
    process_flag(trap_exit, true),
    case ask(C, {worker, Path, self()}) of
        fail ->
            exit(broken);
        ignore ->
            proc_lib:init_ack(ignore);
        ok ->
            proc_lib:init_ack({ok, self()}),
            work(Hangs)
    end.

work(Hangs) ->
    receive
        {finish, crash} -> exit(crash);
        {finish, normal} -> exit(normal);
        {finish, shutdown} -> exit(shutdown);
        {finish, shutdown_term} -> exit({shutdown, term});
        {'EXIT', _, _} when Hangs -> receive never -> ok end;
        {'EXIT', _, Reason} -> exit(Reason)
    end.

%% The collector

ask(C, Question) ->
    Mon = monitor(process, C),
    C ! {self(), Mon, Question},
    receive
        {Mon, Answer} -> demonitor(Mon, [flush]), Answer;
        {'DOWN', Mon, process, C, _} -> exit(no_collector)
    end.

note(C, Line) -> ask(C, {note, Line}).

collect(Start) ->
    collect_loop(maps:merge(#{lines => [], events => 0, numbers => #{}, pids => #{}, paths => #{}, kinds => #{},
                              supervisors => #{}, holds => #{}, plans => #{}}, Start)).

collect_loop(S) ->
    receive
        {From, Tag, Question} ->
            case answer(Question, {From, Tag}, S) of
                {reply, Answer, Next} -> From ! {Tag, Answer}, collect_loop(Next);
                {noreply, Next} -> collect_loop(Next);
                {last, Answer} -> From ! {Tag, Answer}
            end;
        {'DOWN', _, process, Pid, Reason} ->
            collect_loop(down(Pid, Reason, S))
    end.

answer({note, Line}, _, S) ->
    {reply, ok, line(Line, S)};
answer(take, _, #{lines := Lines}) ->
    {last, lists:reverse(Lines)};
answer(events, _, #{events := Events} = S) ->
    {reply, Events, S};
answer({kind, Path}, _, #{kinds := Kinds} = S) ->
    {reply, maps:get(Path, Kinds), S};
answer({path_of, Pid}, _, #{paths := Paths} = S) ->
    {reply, maps:get(Pid, Paths), S};
answer({last, Path}, _, #{pids := Pids} = S) ->
    {reply, maps:get(Path, Pids, undefined), S};
answer({is_up, Path}, _, #{pids := Pids, supervisors := Supervisors} = S) ->
    {reply, maps:get(maps:get(Path, Pids), Supervisors) =:= up, S};
answer({alive, Type, Path}, _, S) ->
    {reply, alive(Type, Path, S), S};
answer({starts, Path, Plan}, _, #{plans := Plans} = S) ->
    {reply, ok, S#{plans := Plans#{Path => Plan}}};
answer({hold, Path, Player}, _, #{holds := Holds} = S) ->
    {reply, ok, S#{holds := Holds#{Path => Player}}};
answer({release, Path, Outcome}, _, #{holds := Holds} = S) ->
    Left = maps:remove(Path, Holds),
    case Holds of
        #{Path := {Pid, {From, Tag}}} ->
            {Answer, Next} = started(Path, Pid, Outcome, S#{holds := Left}),
            From ! {Tag, Answer},
            {reply, ok, Next};
        _ ->
            {reply, ok, S#{holds := Left}}
    end;
answer({worker, Path, Pid}, Asker, #{holds := Holds, plans := Plans} = S) ->
    case {Holds, maps:get(Path, Plans, {fail, 0})} of
        {#{Path := Player}, _} when is_pid(Player) ->
            Player ! {held, Path},
            {noreply, S#{holds := Holds#{Path := {Pid, Asker}}}};
        {_, {_, 0}} ->
            {Answer, Next} = started(Path, Pid, ok, S),
            {reply, Answer, Next};
        {_, {How, Times}} ->
            {Answer, Next} = started(Path, Pid, How, S#{plans := Plans#{Path := {How, Times - 1}}}),
            {reply, Answer, Next}
    end;
answer({supervisor, Path, Pid, Kind}, _, #{kinds := Kinds, supervisors := Supervisors} = S) ->
    {reply, ok, watch(Path, Pid, S#{kinds := Kinds#{Path => Kind}, supervisors := Supervisors#{Pid => starting}})};
answer({up, Path}, _, #{supervisors := Supervisors, pids := Pids} = S) ->
    {Number, Next} = number(Path, S),
    {reply, ok, event(["up ", title(Path), " #", integer_to_list(Number)],
                      Next#{supervisors := Supervisors#{maps:get(Path, Pids) := up}})}.

alive(Type, Path, #{pids := Pids, supervisors := Supervisors}) ->
    Pid = maps:get(Path, Pids, undefined),
    IsSupervisor = maps:is_key(Pid, Supervisors),
    case is_pid(Pid) andalso IsSupervisor =:= (Type =:= supervisor) andalso is_process_alive(Pid) of
        true -> Pid;
        false -> undefined
    end.

started(Path, Pid, ok, S) ->
    {Number, Next} = number(Path, S),
    {ok, event(["start ", Path, " #", integer_to_list(Number)], watch(Path, Pid, Next))};
started(Path, _Pid, How, S) ->
    {Number, Next} = number(Path, S),
    {How, event([atom_to_list(How), " ", Path, " #", integer_to_list(Number)], Next)}.

down(Pid, Reason, #{paths := Paths, supervisors := Supervisors} = S) ->
    case Supervisors of
        #{Pid := starting} ->
            event(none, S); % it did not start; what follows shows it
        _ ->
            event(["down ", title(maps:get(Pid, Paths)), " ", reason(Reason)], S)
    end.

reason({shutdown, term}) -> "shutdown:term";
reason(Reason) when is_atom(Reason) -> atom_to_list(Reason);
reason(Reason) -> io_lib:format("~0p", [Reason]).

watch(Path, Pid, #{pids := Pids, paths := Paths} = S) ->
    monitor(process, Pid),
    S#{pids := Pids#{Path => Pid}, paths := Paths#{Pid => Path}}.

number(Path, #{numbers := Numbers} = S) ->
    Number = maps:get(Path, Numbers, 0) + 1,
    {Number, S#{numbers := Numbers#{Path => Number}}}.

event(none, #{events := Events} = S) -> S#{events := Events + 1};
event(Line, #{events := Events} = S) -> line(Line, S#{events := Events + 1}).

line(Line, #{lines := Lines} = S) -> S#{lines := [Line | Lines]}.
