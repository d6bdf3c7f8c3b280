import com.espertech.esper.common.client.EPCompiled;
import com.espertech.esper.common.client.configuration.Configuration;
import com.espertech.esper.compiler.client.CompilerArguments;
import com.espertech.esper.compiler.client.EPCompilerProvider;
import com.espertech.esper.runtime.client.EPRuntime;
import com.espertech.esper.runtime.client.EPRuntimeProvider;
import com.espertech.esper.runtime.client.EPStatement;

/** Esper on the shared workloads: event time driven from outside, one thread, listeners that only count. */
public final class EsperPeer {
    private static long matches;

    public static void main(String[] args) throws Exception {
        Workload w = new Workload(args);
        Configuration config = new Configuration();
        config.getCommon().addEventType("Ev", Workload.Ev.class);
        config.getRuntime().getThreading().setInternalTimerEnabled(false);
        EPRuntime runtime = EPRuntimeProvider.getRuntime("peer", config);
        runtime.getEventService().advanceTime(0);

        StringBuilder epl = new StringBuilder();
        switch (w.name) {
            case "pair" -> epl.append("select * from pattern [every a=Ev(typ=0) -> (b=Ev(typ=1, k=a.k, amt>a.amt) where timer:within(10 sec))];\n");
            case "triple" -> epl.append("select * from pattern [every a=Ev(typ=0) -> ((b=Ev(typ=1, k=a.k, amt>a.amt) -> c=Ev(typ=2, k=a.k, amt>b.amt)) where timer:within(60 sec))];\n");
            case "absence" -> epl.append("select * from pattern [every a=Ev(typ=0) -> (timer:interval(10 sec) and not b=Ev(typ=1, k=a.k))];\n");
            case "rules" -> {
                for (int r = 0; r < w.rules; r++) {
                    int[] rule = Workload.rule(r);
                    epl.append("select * from pattern [every a=Ev(typ=" + rule[0] + ", amt>=" + rule[1] + ") -> (b=Ev(typ=" + rule[2] + ", k=a.k) where timer:within(10 sec))];\n");
                }
            }
            default -> throw new IllegalArgumentException("no workload " + w.name);
        }
        long t = System.nanoTime();
        EPCompiled compiled = EPCompilerProvider.getCompiler().compile(epl.toString(), new CompilerArguments(config));
        for (EPStatement s : runtime.getDeploymentService().deploy(compiled).getStatements()) {
            s.addListener((inserted, removed, statement, rt) -> matches += inserted.length);
        }
        w.deployMs = (System.nanoTime() - t) / 1_000_000;

        long now = 0;
        for (long i = 0; i < w.events; i++) {
            if (i == w.warmUp()) Workload.startClock();
            Workload.Ev e = Workload.make(i, w.keys, w.types);
            if (now != e.ts) {
                now = e.ts;
                runtime.getEventService().advanceTime(now);
            }
            runtime.getEventService().sendEventBean(e, "Ev");
        }
        w.report("esper", matches);
    }
}
