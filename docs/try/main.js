// 브라우저가 모델을 실행하는 페이지의 시작: 서버의 페이지와 같고, 엔진만 다릅니다.

import { openPage } from "../../templates/serve_gen/page.js";
import { connect } from "./engine.js";

const bar = document.createElement("progress");
document.getElementById("model").after(bar);

openPage(async (say) => {
  try {
    return await connect({
      onProgress: (share) => {
        bar.value = share;
        say(`모델을 받는 중… ${Math.round(100 * share)}%`);
      },
    });
  } finally {
    bar.remove();
    say("");
  }
});
