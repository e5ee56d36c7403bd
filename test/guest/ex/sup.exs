# A supervisor with two counters that crash, tasks, and a port.
defmodule Counter do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, 0, name: name)
  def init(n), do: {:ok, n}
  def handle_call(:next, _from, n), do: {:reply, n + 1, n + 1}
  def handle_cast(:crash, _n), do: raise("crashed")
end

defmodule Main do
  def restarted(name, old) do
    case Process.whereis(name) do
      pid when is_pid(pid) and pid != old -> pid
      _ -> Process.sleep(5); restarted(name, old)
    end
  end
end

Logger.configure(level: :none)
children = for name <- [:a, :b], do: Supervisor.child_spec({Counter, name}, id: name)
{:ok, sup} = Supervisor.start_link(children, strategy: :one_for_all, max_restarts: 20)
IO.inspect(for _ <- 1..3, do: GenServer.call(:a, :next))
IO.inspect(GenServer.call(:b, :next))
for _ <- 1..5 do
  {a, b} = {Process.whereis(:a), Process.whereis(:b)}
  GenServer.cast(:a, :crash)
  Main.restarted(:a, a)
  Main.restarted(:b, b)
end
IO.inspect({GenServer.call(:a, :next), GenServer.call(:b, :next)})
IO.inspect(Supervisor.count_children(sup))
1..20 |> Task.async_stream(fn i -> i * i end, max_concurrency: 4) |> Enum.map(&elem(&1, 1)) |> IO.inspect(limit: :infinity)
{out, status} = System.cmd("sh", ["-c", "echo port; exit 4"])
IO.inspect({out, status})
System.halt(5)
