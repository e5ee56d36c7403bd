<?php
// Run by the command-line PHP: starts php -S with this file as its router, and asks it. Then processes.
if (PHP_SAPI === 'cli-server') {
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        echo strlen(file_get_contents('php://input')), ' ', md5(file_get_contents('php://input'));
    } else {
        header('X-Square: ' . $_GET['n'] ** 2);
        echo json_encode(['n' => (int)$_GET['n'], 'path' => parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)]);
    }
    return;
}
$port = 28092;
$server = proc_open([PHP_BINARY, '-q', '-S', "127.0.0.1:$port", __FILE__], [1 => ['file', '/dev/null', 'w'], 2 => ['file', '/dev/null', 'w']], $pipes,
    null, ['PHP_CLI_SERVER_WORKERS' => '2', 'PATH' => getenv('PATH')]);
for ($i = 0; $i < 300 && !($c = @fsockopen('127.0.0.1', $port)); $i++) usleep(100000);
fclose($c);
for ($n = 0; $n < 10; $n++) {
    echo file_get_contents("http://127.0.0.1:$port/page?n=$n"), ' ', implode(preg_grep('/X-Square/', $http_response_header)), "\n";
}
echo file_get_contents("http://127.0.0.1:$port/", false, stream_context_create(['http' => ['method' => 'POST', 'content' => str_repeat('x', 300000)]])), "\n";
$status = proc_get_status($server);
echo 'running: ', var_export($status['running'], true), "\n";
proc_terminate($server);
proc_close($server);

$p = proc_open('tr a-z A-Z', [['pipe', 'r'], ['pipe', 'w']], $pipes);
fwrite($pipes[0], "proc_open\n");
fclose($pipes[0]);
echo stream_get_contents($pipes[1]), proc_close($p), "\n", shell_exec('seq 3 | wc -l');
if (function_exists('pcntl_fork')) {
    pcntl_async_signals(true);
    pcntl_signal(SIGUSR1, function () { echo "signal\n"; });
    posix_kill(getmypid(), SIGUSR1);
    if (!($pid = pcntl_fork())) exit(6);
    pcntl_waitpid($pid, $status);
    echo pcntl_wexitstatus($status), "\n";
}
$db = new SplFixedArray(1000);
for ($i = 0; $i < 1000; $i++) $db[$i] = hash('sha256', (string)$i);
echo hash('sha256', implode('', $db->toArray())), "\n";
exit(9);
