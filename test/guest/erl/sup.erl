%% A supervisor whose children crash: they are started again, until it is too often.
-module(sup).
-behaviour(supervisor).
-export([main/0, start/0, init/1, worker/1]).

start() ->
    supervisor:start_link({local, sup}, sup, []).

init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 100, period => 60},
          [#{id => N, start => {sup, worker, [N]}} || N <- lists:seq(1, 10)]}}.

worker(N) ->
    Parent = self(),
    Pid = spawn_link(fun() -> register(name(N), self()), Parent ! {self(), up}, loop(N) end),
    receive {Pid, up} -> {ok, Pid} end.

name(N) -> list_to_atom("worker" ++ integer_to_list(N)).

loop(N) ->
    receive
        {From, Ref} -> From ! {Ref, N * N}, loop(N);
        crash -> exit(crashed);
        badarith -> N / (N - N)
    end.

ask(N) ->
    Ref = make_ref(),
    name(N) ! {self(), Ref},
    receive {Ref, V} -> V after 5000 -> timeout end.

%% restarted waits until another process has the name.
restarted(N, Old) ->
    case whereis(name(N)) of
        undefined -> timer:sleep(5), restarted(N, Old);
        Old -> timer:sleep(5), restarted(N, Old);
        _ -> ok
    end.

crash_until_gone(Sup) ->
    case is_process_alive(Sup) of
        true -> catch name(1) ! crash, timer:sleep(1), crash_until_gone(Sup);
        false -> ok
    end.

main() ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Sup} = start(),
    io:format("~p~n", [[ask(N) || N <- lists:seq(1, 10)]]),
    [begin Old = whereis(name(N)), Old ! How, restarted(N, Old) end || How <- [crash, badarith], N <- lists:seq(1, 10)],
    io:format("~p~n", [[ask(N) || N <- lists:seq(1, 10)]]),
    io:format("~p~n", [proplists:get_value(active, supervisor:count_children(Sup))]),
    %% Past its limit the supervisor gives up.
    crash_until_gone(Sup),
    receive {'EXIT', Sup, Why} -> io:format("supervisor: ~p~n", [Why]) after 10000 -> io:format("no exit~n") end,
    %% Ten thousand processes, a message through all of them.
    Last = lists:foldl(fun(_, Next) -> spawn(fun() -> receive X -> Next ! X + 1 end end) end, self(), lists:seq(1, 10000)),
    Last ! 0,
    receive Sum when is_integer(Sum) -> io:format("~p~n", [Sum]) end,
    io:format("~s", [os:cmd("seq 4 | wc -l")]),
    {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(L),
    spawn(fun() -> {ok, S} = gen_tcp:accept(L), {ok, B} = gen_tcp:recv(S, 0), gen_tcp:send(S, ["echo ", B]), gen_tcp:close(S) end),
    {ok, C} = gen_tcp:connect("127.0.0.1", Port, [binary, {active, false}]),
    gen_tcp:send(C, "tcp"),
    {ok, Echo} = gen_tcp:recv(C, 0, 5000),
    io:format("~s~n", [Echo]),
    halt(3).
