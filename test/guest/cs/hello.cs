using System; using System.Linq; using System.Threading; using System.Threading.Tasks; using System.Collections.Generic; using System.Net; using System.Net.Sockets; using System.IO; using System.Text; using System.Diagnostics;
class P {
  static int Main(string[] a) {
    Console.WriteLine("hello " + string.Join(",", a));
    long sum = 0; var ts = Enumerable.Range(0, 4).Select(i => { var t = new Thread(() => { for (int k = 0; k < 1000; k++) Interlocked.Add(ref sum, i); }); t.Start(); return t; }).ToList();
    ts.ForEach(t => t.Join()); Console.WriteLine(sum);
    Console.WriteLine(Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() => i * i))).Result.Sum());
    long kept = 0; var list = new List<byte[]>(); for (int i = 0; i < 20000; i++) { var b = new byte[10000]; b[i % 10000] = 1; if (i % 100 == 0) list.Add(b); kept += b[i % 10000]; }
    Console.WriteLine(kept + " " + list.Count + " " + (GC.CollectionCount(0) > 0));
    var l = new TcpListener(IPAddress.Loopback, 0); l.Start(); int port = ((IPEndPoint)l.LocalEndpoint).Port;
    var server = Task.Run(async () => { for (int i = 0; i < 3; i++) { var c = await l.AcceptTcpClientAsync(); var r = new StreamReader(c.GetStream()); var line = await r.ReadLineAsync(); var o = Encoding.ASCII.GetBytes("echo " + line + "\n"); await c.GetStream().WriteAsync(o, 0, o.Length); c.Client.Shutdown(SocketShutdown.Both); } });
    for (int i = 0; i < 3; i++) { var c = new TcpClient(); c.ConnectAsync(IPAddress.Loopback, port).Wait(); var o = Encoding.ASCII.GetBytes(i + "\n"); c.GetStream().Write(o, 0, o.Length); Console.WriteLine(new StreamReader(c.GetStream()).ReadToEnd().Trim()); }
    server.Wait();
    File.WriteAllText("/tmp/gosv-dotnet", "file"); Console.WriteLine(File.ReadAllText("/tmp/gosv-dotnet")); File.Delete("/tmp/gosv-dotnet");
    var p = Process.Start(new ProcessStartInfo("/bin/echo", "child") { RedirectStandardOutput = true, UseShellExecute = false }); Console.Write(p.StandardOutput.ReadToEnd()); p.WaitForExit(); Console.WriteLine(p.ExitCode);
    try { object o = null; o.ToString(); } catch (NullReferenceException) { Console.WriteLine("null caught"); }
    return 7;
  }
}
