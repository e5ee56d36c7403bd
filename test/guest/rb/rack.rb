# A Rack application behind puma, in two forked workers, and behind WEBrick.
require "net/http"
require "socket"

app = "/tmp/gosv-rack.ru"
port = 28091
File.write(app, <<~'RUBY')
  run lambda { |env|
    n = env["QUERY_STRING"].to_i
    [200, { "Content-Type" => "text/plain" }, ["#{env["REQUEST_METHOD"]} #{n * n} #{env["rack.input"].read.size}"]]
  }
RUBY

def up(port)
  300.times do
    TCPSocket.new("127.0.0.1", port).close
    return true
  rescue SystemCallError
    sleep 0.1
  end
  false
end

def ask(port)
  threads = 4.times.map do |t|
    Thread.new do
      Net::HTTP.start("127.0.0.1", port) do |http|
        (0...10).map { |i| http.get("/?#{t * 10 + i}").body }
      end
    end
  end
  puts threads.flat_map(&:value).join(",")
  puts Net::HTTP.post(URI("http://127.0.0.1:#{port}/?9"), "x" * 100_000).body
end

{
  "puma" => ["puma", "--quiet", "-w", "2", "-t", "2:4", "-b", "tcp://127.0.0.1:#{port}", app],
  "webrick" => ["ruby", "-rrack", "-rrack/handler/webrick", "-e",
                "app, = Rack::Builder.parse_file('#{app}'); Rack::Handler::WEBrick.run(app, Host: '127.0.0.1', Port: #{port}, AccessLog: [], Logger: WEBrick::Log.new(nil, 0)) { |s| trap('TERM') { s.stop } }"],
}.each do |name, command|
  pid = spawn(*command, out: "/dev/null")
  puts "#{name} is up: #{up(port)}"
  ask(port)
  Process.kill("TERM", pid)
  Process.wait(pid)
  puts "#{name} ended: #{$?.exited? || $?.termsig}"
end
File.delete(app)

# What rubyists do to processes.
puts `seq 5 | wc -l`
r, w = IO.pipe
pid = fork { r.close; w.puts "child #{(1..10).sum}"; exit! 3 }
w.close
puts r.read
Process.wait(pid)
puts $?.exitstatus
trap("USR1") { puts "signal" }
Process.kill("USR1", Process.pid)
sleep 0.01
puts Ractor.new { 6 * 7 }.take
