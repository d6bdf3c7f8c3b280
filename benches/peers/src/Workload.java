import java.lang.management.ManagementFactory;

/** The events every engine is measured on, made from a counter so that any language can make the same ones. README.md has the formulas. */
public final class Workload {
    public static final class Ev {
        public int k;
        public int typ;
        public double amt;
        public long ts;

        public int getK() { return k; }
        public int getTyp() { return typ; }
        public double getAmt() { return amt; }
        public long getTs() { return ts; }
    }

    public final String name;
    public final long events;
    public final int keys;
    public final int types;
    public final int rules;
    /** What compiling and deploying the rules took; 0 where nobody asked. */
    public long deployMs;

    /** args: workload events keys [rules] */
    public Workload(String[] args) {
        name = args[0];
        events = Long.parseLong(args[1]);
        keys = Integer.parseInt(args[2]);
        rules = args.length > 3 ? Integer.parseInt(args[3]) : 1;
        types = name.equals("rules") ? 1000 : 10;
    }

    /** Events in the warm-up fifth are processed and counted as matches, but not timed. */
    public long warmUp() { return events / 5; }

    public static Ev make(long i, int keys, int types) {
        long h = i * 0x9E3779B97F4A7C15L;
        h ^= h >>> 29;
        h *= 0xBF58476D1CE4E5B9L;
        h ^= h >>> 32;
        Ev e = new Ev();
        e.k = (int) ((h >>> 8 & 0x7fffffff) % keys);
        e.typ = (int) ((h >>> 40 & 0xffff) % types);
        e.amt = (h >>> 3 & 0x3ff) % 1000;
        e.ts = 1_700_000_000_000L + i / 10;
        return e;
    }

    /** Rule r of the workload "rules": first type, least amount of the first event, second type. */
    public static int[] rule(int r) {
        return new int[] {r % 1000, (r / 1000) * 50 % 1000, (r * 7 + 1) % 1000};
    }

    private static long cpuNanos() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long cpuAtStart;
    private static long wallAtStart;

    public static void startClock() {
        cpuAtStart = cpuNanos();
        wallAtStart = System.nanoTime();
    }

    public void report(String engine, long matches) {
        double n = events - warmUp();
        System.out.printf("{\"engine\":\"%s\",\"workload\":\"%s\",\"events\":%d,\"keys\":%d,\"rules\":%d,\"deploy_ms\":%d,\"matches\":%d,\"cpu_ns_per_event\":%.0f,\"wall_ns_per_event\":%.0f}%n",
            engine, name, events, keys, rules, deployMs, matches, (cpuNanos() - cpuAtStart) / n, (System.nanoTime() - wallAtStart) / n);
    }
}
