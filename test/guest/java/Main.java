// A JVM at work: threads, an HTTP server and its clients, garbage collection under load, the heap's limit, a child process.
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicLong;

public class Main {
    public static void main(String[] args) throws Exception {
        System.out.println("hello from Java " + Runtime.version().feature() + " on " + Runtime.getRuntime().availableProcessors() + " CPUs");
        http(Integer.parseInt(args[0]));
        garbage(Integer.parseInt(args[1]));
        limit();
        Process p = new ProcessBuilder("echo", "from a child").inheritIO().start();
        System.out.println("child's status " + p.waitFor());
        System.exit(7);
    }

    static void http(int requests) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        ExecutorService workers = Executors.newFixedThreadPool(4), clients = Executors.newFixedThreadPool(8);
        server.setExecutor(workers);
        server.createContext("/square", e -> {
            long n = Long.parseLong(e.getRequestURI().getQuery());
            byte[] body = Long.toString(n * n).getBytes();
            e.sendResponseHeaders(200, body.length);
            e.getResponseBody().write(body);
            e.close();
        });
        server.start();
        HttpClient c = HttpClient.newHttpClient();
        AtomicLong sum = new AtomicLong();
        var all = new ArrayList<Future<?>>();
        for (int i = 0; i < requests; i++) {
            URI u = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/square?" + i);
            all.add(clients.submit(() -> sum.addAndGet(Long.parseLong(c.send(HttpRequest.newBuilder(u).build(), HttpResponse.BodyHandlers.ofString()).body()))));
        }
        for (var f : all) f.get();
        System.out.println("sum of the squares " + sum);
        server.stop(0);
        workers.shutdown();
        clients.shutdown();
    }

    // Four threads allocate megabytes in all, and keep a little of it.
    static void garbage(int megabytes) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        var all = new ArrayList<Future<Long>>();
        for (int t = 0; t < 4; t++) {
            all.add(pool.submit(() -> {
                byte[][] kept = new byte[256][];
                long sum = 0;
                for (int i = 0; i < megabytes * 1024 / 16 / 4; i++) {
                    byte[] b = new byte[16 << 10];
                    b[i % b.length] = 1;
                    kept[i % kept.length] = b;
                    sum += b[i % b.length];
                }
                return sum;
            }));
        }
        long sum = 0;
        for (var f : all) sum += f.get();
        pool.shutdown();
        long collections = 0;
        for (var g : java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()) collections += g.getCollectionCount();
        System.out.println("allocated " + sum + " pieces of 16 KiB, collected: " + (collections > 0));
    }

    static void limit() {
        System.out.println("heap within -Xmx64m: " + (Runtime.getRuntime().maxMemory() <= 64 << 20));
        try {
            var list = new ArrayList<byte[]>();
            while (true) list.add(new byte[1 << 20]);
        } catch (OutOfMemoryError e) {
            System.out.println("caught " + e.getClass().getName());
        }
    }
}
